"""What holds for every page, for whoever comes."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import closing
from html import unescape
from pathlib import Path

import anyio
import httpx
import pytest
from markupsafe import escape
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Route

from halfopen.accounts import Accounts
from halfopen.accounts.sign_ins import SignIns
from halfopen.api.application import Api, application
from halfopen.api.limits import Limits, Rate
from halfopen.dashboard.dashboard import dashboard_routes
from halfopen.dashboard.events import Events
from halfopen.dashboard.rendering import HEADERS
from halfopen.errors import DatabaseError
from halfopen.model import SECOND
from halfopen.radar.windows import stamp
from halfopen.store.committer import Batch
from halfopen.store.query import QUARTER
from halfopen.store.store import Store
from tests.dashboard.site import NAME, NAVIGATING, Site, Visitor
from tests.store.rows import row, table

OPEN = {"/sign-in", "/static/{file}", "/"}
"""What needs no sign-in: signing in, its scripts and styles, and where the first page is."""

POLICY = HEADERS["content-security-policy"]


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Route]]:
    """Every route of the pages."""
    with closing(Accounts.open(tmp_path_factory.mktemp("none"))) as accounts:
        made: list[BaseRoute] = []

        def beside(api: Api) -> list[BaseRoute]:
            made.extend(dashboard_routes(api, accounts, Events({}), lambda: None))
            return made

        application([], accounts, beside=beside)
        yield [each for each in made if isinstance(each, Route)]


def path_of(route: Route) -> str:
    """One path of a route."""
    return re.sub(r"\{[^}]*\}", "x", route.path)


def guarded(routes: list[Route], method: str) -> list[str]:
    found = [path_of(each) for each in routes if method in (each.methods or ()) and each.path not in OPEN]
    assert found
    return found


def test_who_is_not_signed_in_is_sent_to_sign_in_or_told_so(site: Site, routes: list[Route]) -> None:
    for path in guarded(routes, "GET"):
        away = httpx.get(f"{site.url}{path}", headers=NAVIGATING)
        assert (away.status_code, away.headers["location"]) == (
            303,
            f"/sign-in?next={path.replace('/', '%2F')}",
        )
        assert away.headers["cache-control"] == "no-store"
        for accept in ("*/*", "application/json", "text/event-stream"):
            told = httpx.get(f"{site.url}{path}", headers={"accept": accept})
            assert (told.status_code, told.text, told.headers["cache-control"]) == (
                401,
                "sign in first",
                "no-store",
            )


def test_nobody_does_anything_without_a_sign_in(site: Site, routes: list[Route]) -> None:
    for path in guarded(routes, "POST"):
        assert (
            httpx.post(f"{site.url}{path}", data={"form_token": "x"}, headers=NAVIGATING).status_code == 401
        )


def test_nothing_is_done_without_the_token_of_a_page(visitor: Visitor, routes: list[Route]) -> None:
    for path in guarded(routes, "POST"):
        for headers in ({}, {"sec-fetch-site": "cross-site"}):
            assert visitor.client.post(path, data={"a": "b"}, headers=headers).status_code == 403, path
    assert visitor.get("/connections").status_code == 200


def test_every_page_has_the_policy_and_is_kept_nowhere(visitor: Visitor, routes: list[Route]) -> None:
    looked_at = [path for path in guarded(routes, "GET") if path != "/events"]
    answers = [
        visitor.get(path) for path in (*looked_at, "/connections/one", "/connections?asn=nobody", "/sign-in")
    ]
    answers += [
        visitor.client.post("/sign-out", data={"a": "b"}),
        visitor.client.post("/sign-in", data={"token": "x"}),
    ]
    for answer in answers:
        if answer.status_code == 303:
            continue
        assert {name: answer.headers.get(name) for name in HEADERS} == dict(HEADERS), answer.request.url
    assert "script-src 'self'" in POLICY
    assert "unsafe" not in POLICY
    assert "frame-ancestors 'none'" in POLICY


def test_pages_hold_nothing_that_the_policy_forbids(visitor: Visitor) -> None:
    for path in ("/connections", "/resets", "/sign-in", "/tunnels", "/health"):
        text = visitor.get(path).text
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=|javascript:", text)
        assert not re.search(r"(src|href|action)=\"(?:https?:)?//", text)


def test_scripts_and_styles_are_kept_for_good(site: Site, visitor: Visitor) -> None:
    text = visitor.get("/connections").text
    for path in set(re.findall(r"/static/[^\"]+", text)):
        answer = httpx.get(f"{site.url}{path}")
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-type"].split(";")[0] in (
            "text/css",
            "text/javascript",
            "image/svg+xml",
        )
    for path in ("/static/page.js", "/static/..%2F__init__.py", "/static/%2Fetc%2Fpasswd", "/static/"):
        assert httpx.get(f"{site.url}{path}").status_code == 404


def test_paths_that_are_not_there(site: Site, visitor: Visitor) -> None:
    for path in (
        "/nothing",
        "/connections/",
        "/figures/stages.exe",
        "/figures/nothing.png",
        "/../etc/passwd",
    ):
        assert visitor.get(path).status_code == 404, path
    answer = httpx.get(f"{site.url}/nothing")
    assert answer.json()["success"] is False
    assert visitor.client.get("/sign-out").status_code == 405
    assert visitor.client.post("/connections").status_code == 405


def test_a_browser_is_shown_a_page_where_there_is_none(site: Site, visitor: Visitor) -> None:
    for path in ("/nonsense", "/connections/xyz", "/tunnels/xyz", "/resets/", "/<script>alert(1)"):
        for who in (visitor.client, httpx):
            answer = who.get(f"{site.url}{path}", headers=NAVIGATING)
            assert answer.status_code == 404
            assert "<h1>There is no such page</h1>" in answer.text
            assert "alert(1)" not in answer.text
            assert {name: answer.headers.get(name) for name in HEADERS} == dict(HEADERS)
            told = who.get(f"{site.url}{path}", headers={"accept": "*/*"})
            assert (told.status_code, told.json()["success"]) == (404, False)
    answer = visitor.get("/sign-out")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert "not a page to look at" in answer.text
    assert visitor.get("/client/v4/nonsense").json()["success"] is False


@pytest.mark.parametrize("path", [
    "/resets?dateStart=2026-04-01T00:00Z&dateEnd=2026-04-02T00:00Z",
    "/resets?dateStart=0001-01-01T00:00&dateEnd=0001-01-02T00:00",
    "/resets?dateStart=1970-01-01T00:00&dateEnd=1970-01-02T00:00",
    "/figures/comparison.json?dateStart=x&dateEnd=y",
    "/tunnels?account={account}&page=",
    "/tunnels?account={account}/cfd_tunnel",
])  # fmt: skip
def test_an_address_that_was_changed_by_hand_is_answered_or_refused(
    site: Site, visitor: Visitor, path: str
) -> None:
    found = visitor.get(path.format(account=site.account()))
    assert found.status_code < 500
    assert found.headers["content-security-policy"] == POLICY


def test_what_strangers_sent_is_shown_as_they_sent_it(visitor: Visitor) -> None:
    page = visitor.get("/connections?serverPort=8444").text
    (link,) = re.findall(r'href="(/connections/one\?[^"]+)"', page)
    for text in (page, visitor.get(unescape(link)).text):
        assert "<script>" not in text
        assert str(escape(NAME)) in text


def test_one_of_thousands_that_are_alike_is_found(site: Site, visitor: Visitor) -> None:
    begun = (int(time.time()) - 20 * 86_400) // QUARTER * QUARTER
    alike = [
        row(
            begun,
            start_ns=(begun * 1000 + ms) * 1_000_000,
            end_ns=(begun + 60) * SECOND,
            client_port=10_000 + ms,
        )
        for ms in range(3500)
    ]
    with closing(Store(site.data / "store", threads=1)) as store:
        committer = store.committer()
        committer.commit([Batch("busy", "one", 1, int(time.time()), table(alike))])
        committer.follow()
    like = f"dateStart={stamp(begun)}&dateEnd={stamp(begun + QUARTER)}"
    for ms in (0, 1, 999, 1750, 2500, 3499):
        page = visitor.get(f"/connections?{like}&page={(3499 - ms) // 50 + 1}").text
        links = [unescape(each) for each in re.findall(r'href="(/connections/one\?[^"]+)"', page)]
        (link,) = [each for each in links if each.endswith(f"client_port={10_000 + ms}&server=198.51.100.1")]
        assert f"port {10_000 + ms}</dd>" in visitor.get(link).text
        assert visitor.get(link.replace("client=192.0.2.1", "client=192.0.2.2")).status_code == 404


def test_what_is_typed_is_shown_as_it_was_typed(visitor: Visitor) -> None:
    wicked = '"><script>alert(1)</script>'
    for name in (
        "location",
        "asn",
        "sensor",
        "tag",
        "dateRange",
        "dateStart",
        "aggInterval",
        "page",
        "serverPort",
    ):
        for path in (
            "/connections",
            "/resets",
            "/figures/stages.csv",
            "/figures/stages.json",
            "/connections/one",
        ):
            answer = visitor.client.get(path, params={name: wicked})
            assert answer.status_code < 500
            assert "<script>alert" not in answer.text or "html" not in answer.headers["content-type"]


def test_an_address_that_guesses_at_cookies_and_tokens_is_let_wait(tmp_path: Path) -> None:
    async def ask(app: Starlette) -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
            cookie = {"cookie": f"halfopen={'x' * 40}"}
            answers = [await client.get("/connections", headers=cookie) for _ in range(3)]
            return [*answers, await client.post("/sign-in", data={"token": "x" * 40})]

    with closing(Accounts.open(tmp_path)) as accounts:
        app = application(
            [],
            accounts,
            Limits(address=Rate(2, 3600)),
            beside=lambda api: dashboard_routes(api, accounts, Events({}), lambda: None),
        )
        answers = anyio.run(ask, app)
    assert [each.status_code for each in answers] == [401, 401, 429, 429]
    assert all(int(each.headers["retry-after"]) > 0 for each in answers[2:])


def test_a_database_that_is_away_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise DatabaseError("the database of accounts", "no answer")

    for name in ("begin", "principal"):
        monkeypatch.setattr(SignIns, name, away)

    async def ask(app: Starlette) -> list[httpx.Response]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
            page = await client.get("/connections", headers={"cookie": f"halfopen={'x' * 40}"})
            return [page, await client.post("/sign-in", data={"token": "x" * 40})]

    with closing(Accounts.open(tmp_path)) as accounts:
        app = application(
            [], accounts, beside=lambda api: dashboard_routes(api, accounts, Events({}), lambda: None)
        )
        for answer in anyio.run(ask, app):
            assert answer.status_code == 503
            assert answer.json()["errors"][0]["message"] == "the database of accounts is not available"
