"""Signing in as somebody does who sits before a browser."""

from __future__ import annotations

from playwright.sync_api import Browser, expect

from tests.dashboard.browser import Watched, watched
from tests.dashboard.site import PATIENCE, Site


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


def test_a_page_that_may_be_old_says_so(browser: Browser, site: Site) -> None:
    token, record = site.token()
    context = browser.new_context(base_url=site.url)
    Watched(site, context).sign_in(token)
    page = context.new_page()
    page.set_default_timeout(PATIENCE * 1000)
    page.goto("/tunnels")
    note = page.get_by_role("alert")
    look = "document.dispatchEvent(new Event('visibilitychange'))"
    context.route("**/*", lambda route: route.abort())
    page.evaluate(look)
    expect(note).to_have_text(
        "The server does not answer: what is shown here may be old.", timeout=PATIENCE * 1000
    )
    context.unroute("**/*")
    page.evaluate(look)
    expect(note).to_have_count(0, timeout=PATIENCE * 1000)
    site.revoke(record)
    page.evaluate(look)
    expect(note).to_contain_text("You are signed out", timeout=PATIENCE * 1000)
    context.close()
