"""Who visits: the cookie of a sign-in, the forms of a page, and that they were sent from a page of ours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from hmac import compare_digest
from typing import Final
from urllib.parse import parse_qsl, quote, urlsplit

from anyio import fail_after
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response

from halfopen.accounts import Accounts, Principal, Refusal
from halfopen.accounts.credentials import TOKEN
from halfopen.api.access import seen
from halfopen.api.application import Api
from halfopen.dashboard.asking import Asking

SIGN_IN: Final = "/sign-in"

FORM_TOKEN: Final = "form_token"
"""The field of each form that says it comes from a page of this sign-in."""

_COOKIE: Final = "halfopen"
_LONGEST_FORM: Final = 1 << 19
_FORM_WITHIN: Final = 20.0  # s


class RefusedError(Exception):
    """A form that is not read, and why, in words for the visitor."""


@dataclass(frozen=True)
class Visit:
    """One request of somebody who is signed in."""

    request: Request
    principal: Principal
    secret: str
    api: Asking

    @property
    def form_token(self) -> str:
        """What each form of this visitor's pages carries."""
        return blake2b(b"form", key=self.secret.encode()[:64], digest_size=16).hexdigest()

    async def form(self) -> Mapping[str, str]:
        """The fields of the form that was sent; RefusedError where it is none of ours."""
        fields = await read_form(self.request)
        if not compare_digest(fields.get(FORM_TOKEN, "").encode(), self.form_token.encode()):
            raise RefusedError(
                "This form is out of date: go back, load the page again and send it once more."
            )
        return fields


Handler = Callable[[Visit], Awaitable[Response]]


class Visits:
    """Knows by its cookie who visits."""

    def __init__(self, accounts: Accounts, api: Api) -> None:
        self._accounts, self._api = accounts, api

    async def begin(self, request: Request, token: str) -> str | None:
        """Sign in by a token; the secret for the cookie, None where it is not accepted."""
        if not TOKEN.fullmatch(token):
            return None
        self._api.admit(request)
        found = await self._api.verifying.ask(lambda _: self._accounts.sign_ins.begin(token))
        return None if isinstance(found, Refusal) else found

    async def of(self, request: Request) -> Visit | None:
        """The visit that a request is, None where nobody is signed in."""
        secret = request.cookies.get(cookie_name(request), "")
        if not TOKEN.fullmatch(secret):
            return None
        self._api.admit(request)
        who = await self._api.verifying.ask(lambda _: self._accounts.sign_ins.principal(secret))
        if not isinstance(who, Principal):
            return None
        seen(request.scope).who = str(who)
        return Visit(request, who, secret, Asking(self._api, request, who))

    async def end(self, visit: Visit) -> None:
        """Sign out."""
        await self._api.verifying.ask(lambda _: self._accounts.sign_ins.end(visit.secret))

    def signed_in(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """A handler that others are sent away from, to sign in."""

        async def handle(request: Request) -> Response:
            visit = await self.of(request)
            if visit is not None:
                return await handler(visit)
            if request.method != "GET" or "text/html" not in request.headers.get("accept", ""):
                return Response("sign in first", 401, {"cache-control": "no-store"}, media_type="text/plain")
            query = f"?{request.url.query}" if request.url.query else ""
            after = quote(f"{request.url.path}{query}", safe="")
            return RedirectResponse(f"{SIGN_IN}?next={after}", 303, {"cache-control": "no-store"})

        return handle


def cookie_name(request: Request) -> str:
    """The name of the cookie: browsers let nobody but this very host set the one for HTTPS."""
    return f"__Host-{_COOKIE}" if request.url.scheme == "https" else _COOKIE


def local(target: str) -> str:
    """A path of this server to go on with; the first page where it leads elsewhere."""
    safe = target.startswith("/") and not target.startswith(("//", "/\\")) and target.isprintable()
    return target if safe else "/"


def from_here(request: Request) -> bool:
    """Whether a request was made by a page of this server, as far as the browser says (Fetch Metadata, Origin)."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form; RefusedError where it is sent by another site, too long, or no form."""
    if not from_here(request):
        raise RefusedError("This form was sent by another site.")
    if request.headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
        raise RefusedError("This is no form.")
    whole = bytearray()
    try:
        with fail_after(_FORM_WITHIN):
            async for part in request.stream():
                whole += part
                if len(whole) > _LONGEST_FORM:
                    raise RefusedError(f"This form is longer than {_LONGEST_FORM:,} bytes.")
        return dict(parse_qsl(whole.decode(), keep_blank_values=True, max_num_fields=200))
    except (TimeoutError, ValueError, ClientDisconnect):
        raise RefusedError("This form cannot be read.") from None
