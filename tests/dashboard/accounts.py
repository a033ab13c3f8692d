"""Accounts of a site whose tunnels nobody else touches, and what somebody reads and sends on their pages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape

import httpx

from halfopen.dashboard.visits import FORM_TOKEN
from tests.dashboard.site import Site, Visitor
from tests.databases.database import Database
from tests.tunnels.played import Server


def administrator(site: Site) -> Server:
    """The site's API as an administrator sees it."""
    return Server(Database(site.data), f"{site.url}/client/v4", site.account(), site.token()[0])


@contextmanager
def visiting(server: Server) -> Iterator[Visitor]:
    """A visitor who is signed in by the token of a view of the API."""
    with Site(server.api.removesuffix("/client/v4"), server.database.data, "").visitor(server.token) as found:
        yield found


def see(visitor: Visitor, path: str, status: int = 200) -> str:
    """What is read on a page."""
    answer = visitor.get(path)
    assert answer.status_code == status, answer.text
    return words(answer.text)


def send(visitor: Visitor, path: str, **fields: str) -> httpx.Response:
    """What comes of a form."""
    return visitor.client.post(path, data={FORM_TOKEN: visitor.form_token(), **fields})


def words(html: str) -> str:
    """What is read on a page, in the fields of forms as well, with single spaces."""
    body = html.partition('<main id="main" tabindex="-1">')[2].partition("</main>")[0]
    shown = re.sub(r'<input[^>]*?value="([^"]*)"[^>]*>', r" \1 ", body)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", shown)).split())
