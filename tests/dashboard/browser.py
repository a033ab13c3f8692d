"""Chromium without a screen, and what every test in it is held to."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

from tests.conftest import Require
from tests.dashboard.site import PATIENCE, Site

AXE: Final = Path(__file__).parent / "node_modules/axe-core/axe.min.js"

WIDE: Final = (1280, 900)
NARROW: Final = (360, 740)


@contextmanager
def chromium(require: Require) -> Iterator[Browser]:
    """A browser."""
    program = shutil.which("chromium")
    require(program is not None, "chromium (Debian: package chromium)")
    sandbox = [] if os.getuid() else ["--no-sandbox"]  # root cannot have it
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=sandbox)
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Watched:
    """One who looks at pages, alone with its cookies, and what was wrong in any of them."""

    site: Site
    context: BrowserContext
    wrong: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    """Paths that are known to be answered with a page of what is wrong: of these the browser says so in its console."""

    def open(self) -> Page:
        """Another page."""
        page = self.context.new_page()
        page.set_default_timeout(PATIENCE * 1000)
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("requestfailed", self._failed)
        return page

    def sign_in(self, token: str) -> None:
        """Have the cookie, without typing."""
        with self.site.visitor(token) as visitor:
            secret = visitor.client.cookies["halfopen"]
        self.context.add_cookies([{"name": "halfopen", "value": secret, "url": self.site.url}])

    def asked(self, request: Request) -> None:
        """Note what is asked of anybody but the server."""
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and parts.netloc != urlsplit(self.site.url).netloc:
            self.wrong.append(f"asked elsewhere: {request.url}")

    def _said(self, message: ConsoleMessage) -> None:
        where = message.location.get("url", "").removeprefix(self.site.url)
        known = where in self.refused and message.text.startswith("Failed to load resource")
        if message.type in ("error", "warning") and not known:
            self.wrong.append(f"{message.type}: {message.text} ({where})")

    def _failed(self, request: Request) -> None:
        # Whoever goes to another page gives up what the last one still asked for.
        if request.failure != "net::ERR_ABORTED":
            self.wrong.append(f"failed: {request.url}: {request.failure}")


@contextmanager
def watched(browser: Browser, site: Site, **options: Any) -> Iterator[Watched]:
    """Somebody new; the test fails where anything was wrong."""
    width, height = options.pop("size", WIDE)
    context = browser.new_context(
        base_url=site.url, viewport={"width": width, "height": height}, reduced_motion="reduce", **options
    )
    found = Watched(site, context)
    context.on("request", found.asked)
    try:
        yield found
    finally:
        context.close()
    assert found.wrong == [], "\n".join(found.wrong)
