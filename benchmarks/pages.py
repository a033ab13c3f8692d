"""The page of resets and timeouts on the store of a year: what the server takes for it, and when a browser has drawn it all.

The peer is the API itself: the questions that a page asks, asked one after the other.
"""

from __future__ import annotations

import http.cookiejar
import re
import shutil
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path
from statistics import median
from typing import Final

from answers import PATH, store_of
from report import Report

import dataset
from halfopen.radar.windows import stamp
from server import Server, serving

WITHIN: Final = 1.0
"""Seconds in which a page is to be drawn, whole."""

_WATCH: Final = """new Promise((done) => {
    let first = 0;
    const look = () => {
        if (!first && document.querySelector("[data-drawn]")) first = performance.now();
        const all = first && !document.querySelector("[data-figure]:not([data-drawn])");
        all && document.readyState === "complete" ? done([first, performance.now()]) : requestAnimationFrame(look);
    };
    look();
})"""
"""Milliseconds from the begin of the navigation until the first figure and all of them are there."""

SPANS: Final = {"7 days": 7, "28 days": 28, "52 weeks": 364}
QUESTIONS: Final = (
    "summary", "summary?normalization=RAW_VALUES", "timeseries_groups", "timeseries_groups?normalization=RAW_VALUES",
    "summary/signature", "affected/ases", "affected/locations",
)  # fmt: skip


def pages(cache: Path, rounds: int, report: Report) -> None:
    """How long a page takes that nobody has looked at yet, each time another quarter of an hour, and its figures."""
    store = store_of(cache)
    rows = []
    with (
        tempfile.TemporaryDirectory(dir=cache) as data,
        serving(Path(data), "--store", str(store), permissions=("admin",)) as server,
    ):
        visitor = _signed_in(server)
        for words, days in SPANS.items():
            page, figures, asked = [], [], []
            for turn in range(rounds + 1):
                query = _window(days, turn)
                html, seconds = _got(visitor, f"{server.root}/resets?{query}")
                page.append(seconds)
                targets = [each.replace("&amp;", "&") for each in re.findall(r'data-figure="([^"]+)"', html)]
                figures.append(sum(_got(visitor, server.root + each)[1] for each in targets))
                asked.append(sum(_asked(server, each, _window(days, turn + 20)) for each in QUESTIONS))
            # The first one imports what draws figures.
            shown = [median(each[1:]) for each in (page, figures, asked)]
            drawn = _drawn(server, [f"/resets?{_window(days, 40 + turn)}" for turn in range(rounds)])
            spoken = [f"{1000 * each:.0f}" for each in drawn] if drawn else ["no browser"] * 2
            rows.append(
                (
                    words,
                    *(f"{1000 * each:.0f}" for each in shown),
                    f"{(shown[0] + shown[1]) / shown[2]:.1f}",
                    *spoken,
                )
            )
            for what, taken in zip(("first chart", "all charts"), drawn, strict=False):
                name = f"{words}, a page with {what} drawn by a browser"
                report.target(name, f"< {WITHIN:.0f} s", f"{taken:.2f} s", taken < WITHIN)
    report.table(
        (
            "window", "page ms", "its figures ms", "same questions by the API ms", "of the API's", "first chart drawn ms",
            "all drawn ms",
        ),
        rows,
    )  # fmt: skip


def _window(days: int, turn: int) -> str:
    """The window that ends so many quarters of an hour before the last: none was asked for before."""
    end = dataset.END - 900 * turn
    return f"dateStart={stamp(end - days * dataset.DAY)}&dateEnd={stamp(end)}"


def _signed_in(server: Server) -> urllib.request.OpenerDirector:
    visitor = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar()))
    form = urllib.parse.urlencode({"token": server.tokens[0], "next": "/health"}).encode()
    visitor.open(f"{server.root}/sign-in", form).close()
    return visitor


def _got(visitor: urllib.request.OpenerDirector, url: str) -> tuple[str, float]:
    begin = time.perf_counter()
    with visitor.open(url) as answer:
        text = answer.read().decode()
    return text, time.perf_counter() - begin


def _asked(server: Server, path: str, query: str) -> float:
    begin = time.perf_counter()
    server.get(f"{PATH}/{path}{'&' if '?' in path else '?'}{query}")
    return time.perf_counter() - begin


def _drawn(server: Server, targets: list[str]) -> list[float]:
    """Seconds, medians, until a browser that knows the scripts has drawn the first figure and all of them; nothing where there is
    no browser."""
    program = shutil.which("chromium")
    if program is None:
        return []
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(f"{server.root}/sign-in")
        page.fill("#token", server.tokens[0])
        page.click("main button")
        taken = []
        for target in [targets[0], *targets]:
            page.goto(server.root + target, wait_until="commit")
            taken.append(page.evaluate(_WATCH))
        browser.close()
    return [median(each) / 1000 for each in zip(*taken[1:], strict=True)]
