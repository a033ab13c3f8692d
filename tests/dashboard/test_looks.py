"""Every page, light and dark, on a desk and on a phone: nothing sticks out, axe finds nothing serious, and a picture is kept."""

from __future__ import annotations

import os
import re
from html import unescape
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.conftest import Require
from tests.dashboard.browser import AXE, NARROW, WIDE, watched
from tests.dashboard.site import PATIENCE, Site, Visitor

REFUSED = ("resets-refused", "not-there")
SERIOUS = ("serious", "critical")


@pytest.fixture(scope="module")
def axe(require: Require) -> str:
    require(AXE.exists(), f"{AXE} (make clients)")
    return AXE.read_text()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    kept = Path(os.environ.get("HALFOPEN_ARTEFACTS", tmp_path)) / "pages"
    kept.mkdir(parents=True, exist_ok=True)
    return kept


@pytest.fixture
def pages(site: Site, visitor: Visitor) -> dict[str, str]:
    """Every page by a name for its picture."""
    account = site.account()
    tunnel = httpx.post(
        f"{site.url}/client/v4/accounts/{account}/cfd_tunnel",
        json={"name": f"shop-{uuid4().hex[:8]}", "config_src": "cloudflare"},
        headers={"authorization": f"Bearer {site.token()[0]}"},
    ).json()["result"]["id"]
    where = f"/tunnels/{account}/{tunnel}"
    (first, *_) = re.findall(r'href="(/connections/one\?[^"]+)"', visitor.get("/connections").text)
    return {
        "resets": "/resets?dateRange=1d",
        "resets-compared": "/resets?dateRange=1d&compare=1&asn=64497",
        "resets-empty": "/resets?sensor=nowhere",
        "resets-refused": "/resets?dateRange=never",
        "connections": "/connections",
        "connection": unescape(first),
        "not-there": f"{unescape(first)}0",
        "tunnels": "/tunnels",
        "tunnel": where,
        "tunnel-configuration": f"{where}/configuration",
        "tunnel-delete": f"{where}/delete",
        "health": "/health",
    }


def drawn(page: Page) -> None:
    """Wait until every figure is."""
    expect(page.locator("[data-figure]:not([data-drawn])")).to_have_count(0, timeout=PATIENCE * 1000)


def found_by(axe: str, page: Page) -> list[str]:
    page.evaluate(axe)
    violations: list[dict[str, Any]] = page.evaluate("axe.run().then(({violations}) => violations)")
    return [
        f"{each['id']} ({each['impact']}): {node['html'][:200]} {node['failureSummary']}"
        for each in violations
        if each["impact"] in SERIOUS
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page(
    browser: Browser,
    site: Site,
    axe: str,
    pages: dict[str, str],
    pictures: Path,
    scheme: str,
    size: tuple[int, int],
) -> None:
    with watched(browser, site, size=size, color_scheme=scheme) as visitor:
        page = visitor.open()

        def look(name: str, path: str) -> None:
            page.goto(path)
            drawn(page)
            page.screenshot(path=pictures / f"{name}-{scheme}-{size[0]}.png", full_page=True)
            over = page.evaluate(
                "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            )
            if over > 0:
                visitor.wrong.append(f"{name}: {over} pixels stick out")
            if size == WIDE:
                visitor.wrong.extend(f"{name}: {each}" for each in found_by(axe, page))

        visitor.refused |= {pages[name] for name in REFUSED}
        look("sign-in", "/sign-in")
        visitor.sign_in(site.token()[0])
        for name, path in pages.items():
            look(name, path)
