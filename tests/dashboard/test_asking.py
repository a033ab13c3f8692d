"""What pages ask the API: in the name of who is signed in, with its permissions, and at a rate of their own."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import anyio
import httpx
import pytest
from starlette.requests import Request
from starlette.routing import BaseRoute

from halfopen.accounts import Accounts, Principal
from halfopen.api.application import SIGNED_IN, Api, application
from halfopen.api.identity import identity_routes
from halfopen.api.limits import Limits, Rate
from halfopen.dashboard.asking import Asking, Told
from tests.dashboard.site import Site

HERE = {
    "type": "http", "method": "GET", "path": "/resets", "query_string": b"", "scheme": "http", "server": ("here.example", 80),
    "client": ("192.0.2.1", 5), "http_version": "1.1",
    "headers": [(b"host", b"here.example"), (b"authorization", b"Bearer x"), (b"cookie", b"halfopen=x")],
}  # fmt: skip
"""A page that somebody looks at."""


def told(data: Path, count: int, limits: Limits, *permissions: str) -> list[Told]:
    """So many answers to ``GET /user``, asked by a page."""
    made: list[Api] = []

    def beside(api: Api) -> list[BaseRoute]:
        made.append(api)
        return []

    async def ask(principal: Principal) -> list[Told]:
        asking = Asking(made[0], Request(HERE), principal)
        return [await asking.get("/user") for _ in range(count)]

    with closing(Accounts.open(data)) as accounts:
        principal = accounts.verify(accounts.create_token(permissions)[0])
        assert isinstance(principal, Principal)
        application(identity_routes(accounts), accounts, limits=limits, beside=beside)
        return anyio.run(ask, principal)


def test_the_api_answers_as_it_would_by_the_token(tmp_path: Path) -> None:
    (good,) = told(tmp_path, 1, Limits(), "admin")
    assert (good.status, good.result["email"]) == (200, "admin@localhost")
    (refused,) = told(tmp_path, 1, Limits(), "connections:read")
    assert (refused.status, refused.good, len(refused.faults)) == (403, False, 1)


def test_pages_take_nothing_of_what_the_token_may_ask_itself(tmp_path: Path) -> None:
    found = told(tmp_path, 5, Limits(principal=Rate(1, 60), pages=Rate(3, 60)), "admin")
    assert [each.status for each in found] == [200] * 3 + [429] * 2


@pytest.mark.parametrize("name", [SIGNED_IN, "halfopen-principal", "x-halfopen-principal"])
def test_nobody_says_from_outside_who_they_are(site: Site, name: str) -> None:
    answer = httpx.get(f"{site.url}/client/v4/user", headers={name: "admin"})
    assert (answer.status_code, answer.json()["success"]) == (400, False)
