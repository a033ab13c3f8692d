"""Signing in as somebody does who sits before a browser."""

from __future__ import annotations

from playwright.sync_api import Browser, expect

from tests.dashboard.browser import watched
from tests.dashboard.site import Site


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
