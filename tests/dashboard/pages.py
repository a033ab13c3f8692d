"""A server with an edge, and somebody who looks at its pages as a browser does: by links, forms and a cookie."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Final

import httpx

from halfopen.dashboard.visits import FORM_TOKEN
from tests.databases.database import Database
from tests.edge.place import until
from tests.serving import running
from tests.tunnels.played import Server

WITH_EDGE: Final = ("--edge", "--edge-listen", "127.0.0.1:0", "--visitors", "127.0.0.1:0")


@contextmanager
def signed_in(url: str, token: str) -> Iterator[Reader]:
    """Somebody who is signed in by a token."""
    with httpx.Client(base_url=url, headers={"accept": "text/html"}, timeout=60) as http:
        assert http.post("/sign-in", data={"token": token}).status_code == 303
        yield Reader(http)


@dataclass(frozen=True)
class Reader:
    """Somebody who looks at pages, with the cookies of their browser."""

    http: httpx.Client

    def see(self, path: str, status: int = 200) -> str:
        """The words of a page, as they are shown."""
        answer = self.http.get(path)
        assert answer.status_code == status, answer.text
        return words(answer.text)

    def send(self, path: str, /, to: str = "", **fields: str) -> httpx.Response:
        """What comes of a form of a page, which is sent to the page itself, or elsewhere."""
        found = re.search(rf'name="{FORM_TOKEN}" value="([^"]+)"', self.http.get(path).text)
        assert found is not None
        named = {
            name.replace("_", "-") if name[-1].isdigit() else name: value for name, value in fields.items()
        }
        return self.http.post(to or path, data={FORM_TOKEN: found[1], **named})


def words(html: str) -> str:
    """What is read on a page, in the fields of forms as well, with single spaces."""
    body = html.partition('<main id="main" tabindex="-1">')[2].partition("</main>")[0]
    shown = re.sub(r'<input[^>]*?value="([^"]*)"[^>]*>', r" \1 ", body)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", shown)).split())


@contextmanager
def site(data: Path, *options: str) -> Iterator[tuple[str, Server]]:
    """A server, by its URL, and as an administrator of the API sees it."""
    data.mkdir(mode=0o700, exist_ok=True)
    database = Database(data, None)
    with database.accounts() as accounts:
        token, _ = accounts.create_token(["admin"])
        account = accounts.every_account()[0].id
    with running(data, *options) as url:
        yield url, Server(database, f"{url}/client/v4", account, token)


def connectors_of(data: Path) -> tuple[str, int]:
    """Where the edge of a server takes connectors."""
    log = data / "log"
    until(lambda: "connectors: " in log.read_text(), log.read_text)
    host, port = re.findall(r"connectors: (\S+):([0-9]+),", log.read_text())[0]
    return host, int(port)
