"""Signing in by a token, and out again."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from halfopen.accounts.sign_ins import LASTS
from halfopen.dashboard.pages import Pages
from halfopen.dashboard.rendering import Templates
from halfopen.dashboard.visits import SIGN_IN, RefusedError, Visit, Visits, cookie_name, local, read_form


class SignIn:
    """The page where a token is typed, and what it sets."""

    def __init__(self, templates: Templates, visits: Visits) -> None:
        self._templates, self._visits = templates, visits

    def routes(self, pages: Pages) -> list[Route]:
        """Sign in, sign out."""
        return [
            Route(SIGN_IN, self._shown, methods=["GET"]),
            Route(SIGN_IN, self._typed, methods=["POST"]),
            pages.act("/sign-out", self._left),
        ]

    async def _shown(self, request: Request) -> Response:
        target = local(request.query_params.get("next", "/"))
        if await self._visits.of(request) is not None:
            return RedirectResponse(target, 303)
        return self._page(target)

    async def _typed(self, request: Request) -> Response:
        try:
            fields = await read_form(request)
        except RefusedError as error:
            return self._page("/", str(error), 403)
        target = local(fields.get("next", "/"))
        secret = await self._visits.begin(request, fields.get("token", "").strip())
        if secret is None:
            return self._page(
                target, "This token is not accepted: it is unknown, revoked or out of date.", 403
            )
        answer = RedirectResponse(target, 303, {"cache-control": "no-store"})
        answer.set_cookie(
            cookie_name(request), secret, max_age=int(LASTS.total_seconds()), path="/",
            secure=request.url.scheme == "https", httponly=True, samesite="lax",
        )  # fmt: skip
        return answer

    async def _left(self, visit: Visit, _: object) -> Response:
        await self._visits.end(visit)
        answer = RedirectResponse(SIGN_IN, 303, {"cache-control": "no-store", "clear-site-data": '"cache"'})
        answer.delete_cookie(
            cookie_name(visit.request), path="/", secure=visit.request.url.scheme == "https", httponly=True,
            samesite="lax",
        )  # fmt: skip
        return answer

    def _page(self, target: str, fault: str | None = None, status: int = 200) -> Response:
        return self._templates.page("sign_in.html", {"next": target, "fault": fault}, status)
