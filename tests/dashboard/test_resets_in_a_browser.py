"""The page of resets and timeouts, as somebody uses it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, Request, expect

from tests.cli.conftest import capture_bytes
from tests.dashboard.browser import Watched, watched
from tests.dashboard.site import PATIENCE, Site

FIRST = "/resets?dateRange=1d"


@pytest.fixture
def token(site: Site) -> str:
    return site.token()[0]


@pytest.fixture
def visitor(browser: Browser, site: Site, token: str) -> Iterator[Watched]:
    with watched(browser, site) as found:
        found.sign_in(token)
        yield found


@pytest.fixture
def page(visitor: Watched) -> Page:
    found = visitor.open()
    found.goto(FIRST)
    return found


def query(page: Page) -> dict[str, str]:
    return {name: ",".join(values) for name, values in parse_qs(urlsplit(page.url).query).items()}


def answer(page: Page) -> str:
    """What the page says first."""
    return page.locator("#headline .big").inner_text()


def connections(page: Page) -> int:
    found = re.search(r"of ([0-9,]+) connections", answer(page))
    assert found is not None, answer(page)
    return int(found[1].replace(",", ""))


def field(page: Page, label: str) -> Locator:
    """What is typed or chosen under a label."""
    return page.get_by_role("combobox", name=re.compile(f"^{label}"))


def show(page: Page) -> None:
    with page.expect_navigation():
        page.get_by_role("button", name="Show", exact=True).click()


def test_what_is_chosen_stands_in_the_address(page: Page, visitor: Watched) -> None:
    every = connections(page)
    field(page, "Time").select_option(label="last 14 days")
    field(page, "Interval").select_option(label="1 day")
    field(page, "Country").fill("mexico")
    field(page, "Which connections").select_option(label="answered by the server")
    show(page)
    assert query(page) == {"dateRange": "14d", "aggInterval": "1d", "location": "MX", "tag": "answered"}
    few = answer(page)
    assert connections(page) < every
    expect(field(page, "Country")).to_have_value("MX")
    # Somebody else who has the link sees the same.
    with watched(visitor.context.browser, visitor.site) as other:  # type: ignore[arg-type]
        other.sign_in(visitor.site.token()[0])
        same = other.open()
        same.goto(page.url)
        assert answer(same) == few
        expect(field(same, "Interval")).to_have_value("1d")
    chips = page.get_by_role("list", name="Filters")
    expect(chips.get_by_role("listitem")).to_have_count(2)
    chips.get_by_role("link", name="Without this filter: Country MX").click()
    chips.get_by_role("link", name="Without this filter: Tag answered").click()
    assert query(page) == {"dateRange": "14d", "aggInterval": "1d"}
    assert connections(page) == every


def test_names_are_found_as_they_are_typed(page: Page) -> None:
    field(page, "Network").press_sequentially("example mob")
    option = page.locator("#suggested-asn option")
    expect(option.first).to_have_attribute("value", "Example Mobile")
    field(page, "Network").fill("Example Mobile, AS64505")
    show(page)
    assert query(page)["asn"] == "64497,64505"
    field(page, "Network").fill("-example mobile")
    show(page)
    assert query(page)["asn"] == "-64497"


def test_a_name_that_nobody_has_is_said_so(page: Page, visitor: Watched) -> None:
    visitor.refused.add("/resets?dateRange=1d&location=atlantis")
    field(page, "Country").fill("atlantis")
    show(page)
    expect(page.get_by_role("alert")).to_contain_text("Country 'atlantis' was not found in these data.")
    expect(field(page, "Country")).to_have_value("atlantis")


def test_more_filters(page: Page) -> None:
    every = connections(page)
    page.get_by_text("More filters").click()
    field(page, "Continent").select_option("EU")
    field(page, "IP version").select_option("IPv4")
    page.get_by_label("Port of the server").fill("443")
    show(page)
    assert query(page) == {"dateRange": "1d", "continent": "EU", "ipVersion": "IPv4", "serverPort": "443"}
    expect(field(page, "Continent")).to_be_visible()  # what is chosen is not hidden
    assert 0 < connections(page) < every


def test_charts_and_tables_agree(page: Page) -> None:
    said = answer(page)
    expect(page.locator("#figure-stages .figure")).to_have_attribute(
        "aria-label", re.compile(re.escape(said))
    )
    stages = page.get_by_role("region", name="Stages").get_by_role("row")
    counts = [int(each.get_by_role("cell").first.inner_text().replace(",", "")) for each in stages.all()[1:]]
    assert sum(counts) == connections(page)
    signatures = page.get_by_role("region", name="Signatures").get_by_role("row")
    count = int(signatures.nth(1).get_by_role("cell").last.inner_text().replace(",", ""))
    name = signatures.nth(1).get_by_role("rowheader").inner_text()
    share = f"{100 * count / sum(counts):.1f} %"
    expect(page.locator("#figure-signatures svg")).to_contain_text(f"{share} {name}")
    first = page.get_by_role("region", name="Countries most affected").get_by_role("row").nth(1)
    name = first.get_by_role("rowheader").inner_text()
    expect(page.locator("#figure-map svg")).to_contain_text("Where connections were cut")
    first.get_by_role("link").click()
    assert f"of {connections(page)}" in first.inner_text()
    expect(page.get_by_role("region", name="Countries most affected").get_by_role("row")).to_have_count(2)


def test_beside_the_control_window(page: Page) -> None:
    expect(page.locator("#figure-comparison")).to_have_count(0)
    page.get_by_label("compare with the control window").check()
    show(page)
    assert query(page)["compare"] == "1"
    expect(page.locator("#figure-comparison svg")).to_be_visible()


@pytest.mark.parametrize(("kind", "begin"), [("PNG", b"\x89PNG"), ("SVG", b"<svg"), ("CSV", b'"')])
def test_what_is_taken_away(page: Page, kind: str, begin: bytes) -> None:
    with page.expect_download() as waited:
        page.locator("#figure-stages").get_by_role("link", name=kind).click()
    assert waited.value.suggested_filename == f"halfopen-stages.{kind.lower()}"
    content = Path(waited.value.path()).read_bytes()
    assert content.startswith(begin) or kind == "CSV", content[:80]
    assert kind != "CSV" or content.count(b"\n") > 2


def test_the_same_as_an_api_call(page: Page, token: str) -> None:
    figure = page.locator("#figure-signatures")
    figure.get_by_text("The same as an API call").click()
    curl, program = (each.inner_text() for each in figure.locator("pre").all())
    environment = os.environ | {"HALFOPEN_TOKEN": token}
    ran = subprocess.run(
        ["sh", "-c", curl], env=environment, capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    told = json.loads(ran.stdout)
    assert told["success"] is True
    ran = subprocess.run(
        [sys.executable, "-c", program.replace("print(result)", "import json; print(json.dumps(result))")],
        env=environment, capture_output=True, text=True, timeout=PATIENCE, check=True,
    )  # fmt: skip
    assert json.loads(ran.stdout)["result"]["summary_0"] == told["result"]["summary_0"]


def test_down_to_the_packets_of_a_connection(page: Page) -> None:
    page.get_by_role("region", name="Signatures").get_by_role("link", name="psh_rst", exact=True).click()
    wanted = connections(page)
    page.get_by_role("link", name="Single connections of this view").click()
    expect(page.locator("#answer p").first).to_contain_text(f"{wanted} connections")
    assert query(page) == {"dateRange": "1d", "signature": "psh_rst"}
    rows = page.get_by_role("region", name="Connections").get_by_role("row")
    client = rows.nth(1).get_by_role("cell").nth(1).inner_text().split()[0]
    rows.nth(1).get_by_role("link").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("One connection")
    expect(page.locator(".headline")).to_contain_text(
        "Signature psh_rst: the first data, then exactly one RST."
    )
    expect(page.locator("main")).to_contain_text(client)
    expect(page.locator("main")).to_contain_text("ttl_delta")
    flags = page.get_by_role("region", name="Packets").locator("tbody td:nth-child(2)").all_inner_texts()
    assert flags[0] == "SYN"
    assert flags[-1] == "RST"


def test_new_connections_are_shown_without_loading_the_page_again(
    page: Page, site: Site, tmp_path: Path
) -> None:
    expect(page.locator("[data-figure]:not([data-drawn])")).to_have_count(0)
    page.evaluate("window.mark = 1")
    before = connections(page)
    capture = tmp_path / "more.pcap"
    capture.write_bytes(capture_bytes(11))
    site.ingest(capture)
    expect(page.locator("#headline .big")).not_to_contain_text(
        f"of {before:,} connections", timeout=PATIENCE * 1000
    )
    assert connections(page) > before
    expect(page.locator("#figure-stages .figure")).to_have_attribute(
        "aria-label", re.compile(re.escape(answer(page)))
    )
    assert page.evaluate("window.mark") == 1
    expect(page.get_by_role("status")).to_contain_text("Updated at")


def test_light_or_dark_is_kept(page: Page) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Dark").click()
    dark = page.evaluate(ground)
    assert light != dark
    page.get_by_role("link", name="Connections", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Connections")
    assert page.evaluate(ground) == dark
    page.get_by_role("button", name="Light").click()
    page.reload()
    assert page.evaluate(ground) == light


def test_a_page_that_nobody_sees_does_not_listen(page: Page, visitor: Watched) -> None:
    """Browsers open six connections to a server: a seventh tab would wait for one of the others to be closed."""

    def seen(hidden: str) -> None:
        page.evaluate(f"Object.defineProperty(document, 'hidden', {{value: {hidden}, configurable: true}})")
        page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")

    def is_listening(request: Request) -> bool:
        return request.url.endswith("/events")

    with page.expect_event("requestfailed", is_listening):
        seen("true")
    with page.expect_request(is_listening), page.expect_request(page.url):  # what was missed is looked at
        seen("false")
