"""A tunnel from its beginning to its end, by one page, and seen in another that nobody touches."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from playwright.sync_api import Browser, Locator, Page, expect

from halfopen.testing.connectors.connector import Connector
from halfopen.testing.forwarding import forward
from halfopen.tunnels.vault import RunToken
from tests.dashboard.accounts import administrator
from tests.dashboard.browser import watched
from tests.dashboard.site import PATIENCE, Site

MS = PATIENCE * 1000


@contextmanager
def connected(site: Site, token: str) -> Iterator[None]:
    """A connector with four connections, which stays away once they are closed."""
    read = RunToken.parse(token)
    assert read is not None
    host, _, port = site.connectors.rpartition(":")
    authority = (site.data / "edge" / "ca.pem").read_text()
    connector = Connector(read, forward("http://127.0.0.1:9"), host, int(port), authority, "http2")
    loop, stop = asyncio.new_event_loop(), asyncio.Event()

    async def once(index: int) -> None:
        connection = await connector.connect(index)
        await connection.outcome
        waiting = [asyncio.create_task(each) for each in (connection.lost.wait(), stop.wait())]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for each in waiting:
            each.cancel()
        connection.close()

    async def four() -> None:
        await asyncio.gather(*map(once, range(4)))

    thread = Thread(target=loop.run_until_complete, args=(four(),))
    thread.start()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE)
        loop.close()


def row(page: Page) -> Locator:
    """The tunnel in the list."""
    return page.get_by_role("row").filter(has=page.get_by_role("link", name="shop", exact=True))


def test_from_its_beginning_to_its_end(browser: Browser, site: Site) -> None:
    with watched(browser, site) as visitor:
        visitor.sign_in(site.token()[0])
        page, other = visitor.open(), visitor.open()
        other.goto("/tunnels")
        other.evaluate("window.mark = 1")
        page.goto("/tunnels")
        page.get_by_label("Name").fill("shop")
        page.get_by_role("button", name="Create").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("shop")
        expect(row(other)).to_contain_text("inactive", timeout=MS)

        command = page.locator("#connect ~ .card pre").first
        expect(command).to_contain_text("--token TOKEN")
        page.get_by_role("link", name="Show it").click()
        token = command.inner_text().split("--token ")[1].split()[0]
        assert RunToken.parse(token) is not None
        page.get_by_role("link", name="Hide the token").click()
        expect(command).to_contain_text("--token TOKEN")

        with connected(site, token):
            expect(row(other)).to_contain_text("healthy", timeout=MS)
            expect(page.locator("#standing")).to_contain_text("4 live connections of 1 connector", timeout=MS)
            page.get_by_role("link", name="Close its connections").last.click()
            expect(page.get_by_role("heading", level=1)).to_have_text("Close the connections of shop")
            expect(page.locator("main")).to_contain_text("4 live connections")
            page.get_by_role("button", name="Close them").click()
            expect(row(other)).to_contain_text("down", timeout=MS)
            expect(page.locator("#standing")).to_contain_text("None is connected", timeout=MS)

        page.get_by_role("link", name="Delete").click()
        expect(row(other)).to_have_count(1)  # it is only asked
        page.get_by_role("button", name="Delete the tunnel").click()
        expect(row(page)).to_have_count(0)
        expect(row(other)).to_have_count(0, timeout=MS)
        assert other.evaluate("window.mark") == 1, "the page was loaded again"


def test_what_changes_elsewhere_is_seen_on_the_page_of_the_tunnel(browser: Browser, site: Site) -> None:
    api = administrator(site)
    with watched(browser, site) as visitor:
        visitor.sign_in(api.token)
        made = api.ask("POST", api.tunnels, json={"name": "attic", "config_src": "cloudflare"})
        tunnel = made.json()["result"]["id"]
        place = f"/tunnels/{api.account}/{tunnel}"
        page, beside = visitor.open(), visitor.open()
        page.goto(place)
        beside.goto("/tunnels")
        expect(page.locator("#configured")).to_contain_text("There is none yet")
        page.evaluate("window.mark = 1")

        api.ask("PATCH", f"{api.tunnels}/{tunnel}", json={"name": "cellar"})
        expect(page.get_by_role("heading", level=1)).to_have_text("cellar", timeout=MS)
        expect(page).to_have_title("cellar - Halfopen")
        for version in (1, 2):
            rules = [{"service": f"http_status:40{version}"}]
            api.ask("PUT", f"{api.tunnels}/{tunnel}/configurations", json={"config": {"ingress": rules}})
            expect(page.locator("#configured")).to_contain_text(f"Version {version}, set here", timeout=MS)
            expect(page.locator("#configured")).to_contain_text(f"http_status:40{version}")
        assert page.evaluate("window.mark") == 1, "the page was loaded again"

        visitor.refused.add(place)
        api.ask("DELETE", f"{api.tunnels}/{tunnel}")
        expect(page.locator("main")).to_contain_text("There is no such tunnel", timeout=MS)
        expect(beside.get_by_role("link", name="cellar")).to_have_count(0, timeout=MS)
