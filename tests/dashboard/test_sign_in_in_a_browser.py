"""Signing in as somebody does who sits before a browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.conftest import Require
from tests.dashboard.browser import chromium, watched
from tests.dashboard.conftest import Site


@pytest.fixture(scope="module")
def browser(require: Require) -> Iterator[Browser]:
    with chromium(require) as found:
        yield found


def test_with_the_keyboard_alone(browser: Browser, site: Site) -> None:
    token, _ = site.token()
    with watched(browser, site) as visitor:
        page = visitor.open()
        page.goto("/connections")
        expect(page).to_have_title("Sign in - Halfopen")
        page.keyboard.type(token)  # the field has the focus
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("Connections")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#main")).to_be_focused()
