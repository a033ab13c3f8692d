"""What tests of the pages look at, and with what."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.conftest import Require
from tests.dashboard.accounts import administrator, visiting
from tests.dashboard.browser import chromium
from tests.dashboard.site import EDGE, Site, Visitor, serving
from tests.tunnels.played import Server


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Server and edge, over the demo's connections of the last hour."""
    with serving(tmp_path_factory.mktemp("dashboard") / "data", "--edge", *EDGE) as found:
        yield found


@pytest.fixture
def visitor(site: Site) -> Iterator[Visitor]:
    """An administrator who is signed in."""
    with site.visitor(site.token()[0]) as found:
        yield found


@pytest.fixture(scope="module")
def browser(require: Require) -> Iterator[Browser]:
    """A browser, not kept for longer than its module needs it: it has an event loop that no other may be beside."""
    with chromium(require) as found:
        yield found


@pytest.fixture
def owner(site: Site) -> Server:
    """An account that nobody else uses, by a token that may change its tunnels."""
    return administrator(site).tenant()


@pytest.fixture
def reader(owner: Server) -> Iterator[Visitor]:
    """One who looks at its pages."""
    with visiting(owner) as found:
        yield found
