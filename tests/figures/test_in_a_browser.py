"""Figures in a real browser, under the policy of the dashboard: scripts and styles from the server only, no eval, nothing inline."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Final

import altair
import pytest
from playwright.sync_api import Browser, Page

from halfopen import figures
from tests.conftest import Require
from tests.dashboard.browser import chromium

Charts = Mapping[str, altair.TopLevelMixin]

POLICY: Final = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'"
PAGE: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Figures</title><link rel="stylesheet" href="/style.css">
<div id="figure" class="figure"></div>
<script src="/bundle.js"></script><script src="/page.js"></script></html>"""
SCRIPT: Final = """
fetch("/spec" + location.search).then((answer) => answer.json()).then(async (spec) => {
  document.documentElement.style.background = spec.usermeta.background;
  await drawFigure(document.getElementById("figure"), spec);
  document.body.dataset.drawn = "";
});
"""
PICTURES: Final = os.environ.get("HALFOPEN_ARTEFACTS")
"""A directory for what the browser showed, for somebody to look at."""


def handler(served: Mapping[str, tuple[str, bytes]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, body = served[self.path if self.path.startswith("/spec") else self.path.partition("?")[0]]
            self.send_response(200)
            self.send_header("content-type", f"{kind}; charset=utf-8")
            self.send_header("content-security-policy", POLICY)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


@pytest.fixture(scope="module")
def base(charts: Charts) -> Iterator[str]:
    """A server of one page, for each figure, light and dark."""
    served = {
        "/favicon.ico": ("image/x-icon", b""),
        "/": ("text/html", PAGE.encode()),
        "/bundle.js": ("text/javascript", figures.bundle().encode()),
        "/page.js": ("text/javascript", SCRIPT.encode()),
        "/style.css": ("text/css", f"body {{ margin: 12px }}\n{figures.style()}".encode()),
    }
    for name, chart in charts.items():
        for dark in (False, True):
            spec = json.dumps(figures.themed(chart, dark)).encode()
            served[f"/spec?{name}-{'dark' if dark else 'light'}"] = ("application/json", spec)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(served))
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def browser(require: Require) -> Iterator[Browser]:
    with chromium(require) as found:
        yield found


@dataclass
class Shown:
    """A page, and what it complained of or asked others for."""

    page: Page
    faults: list[str] = field(default_factory=list)


def shown(browser: Browser, url: str, width: int) -> Shown:
    page = browser.new_page(viewport={"width": width, "height": 800})
    seen = Shown(page)
    page.on("console", lambda message: seen.faults.append(message.text))
    page.on("pageerror", lambda error: seen.faults.append(str(error)))
    page.on(
        "request",
        lambda request: (
            None if request.url.startswith(url.partition("?")[0]) else seen.faults.append(request.url)
        ),
    )
    page.goto(url)
    page.locator("body[data-drawn]").wait_for(timeout=60_000)
    return seen


NAMES: Final = ("stages", "comparison", "signatures", "world", "affected", "blank")


@pytest.mark.parametrize(("width", "theme"), [(1200, "light"), (360, "dark")])
@pytest.mark.parametrize("name", NAMES)
def test_a_figure_is_drawn_without_a_complaint(
    browser: Browser, base: str, charts: Charts, name: str, width: int, theme: str
) -> None:
    seen = shown(browser, f"{base}?{name}-{theme}", width)
    box = seen.page.locator("#figure svg").bounding_box()
    assert box is not None
    assert box["width"] == pytest.approx(width - 24, abs=2)
    assert seen.page.evaluate("document.documentElement.scrollWidth") == width
    assert (
        seen.page.locator("[role=graphics-document]").get_attribute("aria-label")
        == charts[name].to_dict()["description"]
    )
    if PICTURES:
        seen.page.screenshot(path=Path(PICTURES) / f"figure-{name}-{width}-{theme}.png")
    assert seen.faults == []
    seen.page.close()


def test_who_points_at_a_bucket_is_told_its_numbers(browser: Browser, base: str) -> None:
    seen = shown(browser, f"{base}?stages-light", 1200)
    box = seen.page.locator("#figure svg").bounding_box()
    assert box is not None
    seen.page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + box["height"] / 2)
    told = seen.page.locator("#vg-tooltip-element.visible")
    told.wait_for(timeout=60_000)
    assert "UTC" in told.inner_text()
    assert "after the handshake" in told.inner_text()
    assert seen.faults == []
    seen.page.close()


def test_a_map_is_half_as_high_as_wide(browser: Browser, base: str) -> None:
    heights = {}
    for width in (360, 1200):
        seen = shown(browser, f"{base}?world-light", width)
        box = seen.page.locator("#figure svg").bounding_box()
        assert box is not None
        heights[width] = box["height"]
        seen.page.close()
    assert 200 < heights[360] < 300 < 600 < heights[1200] < 700


def test_a_figure_takes_the_place_of_the_one_before(browser: Browser, base: str) -> None:
    seen = shown(browser, f"{base}?affected-light", 800)
    seen.page.evaluate(
        "() => fetch('/spec?blank-light').then((answer) => answer.json()).then((spec) => drawFigure(document.getElementById('figure'), spec)).then(() => true)"
    )
    assert seen.page.locator("#figure svg").count() == 1
    assert "Nothing is known" in seen.page.locator("#figure").inner_text()
    assert seen.faults == []
    seen.page.close()


def test_a_page_opens_from_the_disk(browser: Browser, charts: Charts, tmp_path: Path) -> None:
    file = tmp_path / "stages.html"
    file.write_text(figures.page(figures.themed(charts["stages"], dark=True), "Stages"))
    page = browser.new_page(viewport={"width": 1200, "height": 800})
    faults: list[str] = []
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on(
        "request", lambda request: faults.append(request.url) if not request.url.startswith("file:") else None
    )
    page.goto(file.as_uri())
    page.locator("#figure svg").wait_for(timeout=60_000)
    assert "connections were cut" in page.locator("#figure").inner_text()
    assert faults == []
    page.close()
