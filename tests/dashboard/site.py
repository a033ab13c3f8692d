"""A server with the demo in its store, and ways to sign in."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

import httpx

from halfopen.accounts import Accounts, TokenRecord
from halfopen.dashboard.visits import FORM_TOKEN
from halfopen.store.committer import Batch
from halfopen.store.store import Store
from tests.dataset.conftest import DEMO, PLACES, ran
from tests.serving import running
from tests.store.rows import row, table

NAME: Final = '"><script>alert(1)</script>'
"""What a connection to port 8444 asked for."""

PATIENCE: Final = 60.0  # s
NAVIGATING: Final = {"accept": "text/html,application/xhtml+xml"}
"""What a browser sends as it goes to a page."""


@dataclass(frozen=True)
class Site:
    """A server: where it is, its data, where its edge takes connectors, and its log."""

    url: str
    data: Path
    connectors: str

    def token(self, *permissions: str, expires: timedelta | None = None) -> tuple[str, TokenRecord]:
        """A new token, of an administrator where nothing else is said."""
        with closing(Accounts.open(self.data)) as accounts:
            return accounts.create_token(permissions or ["admin"], expires=expires)

    def revoke(self, token: TokenRecord) -> None:
        """Make a token useless."""
        with closing(Accounts.open(self.data)) as accounts:
            accounts.revoke_token(token.id)

    def account(self) -> str:
        """The account of a new installation."""
        with closing(Accounts.open(self.data)) as accounts:
            return accounts.every_account()[0].id

    @contextmanager
    def visitor(self, token: str | None = None) -> Iterator[Visitor]:
        """A browser without a screen; signed in where there is a token."""
        with httpx.Client(base_url=self.url, headers=NAVIGATING, timeout=PATIENCE) as client:
            visitor = Visitor(client)
            if token is not None:
                assert visitor.sign_in(token).status_code == 303
            yield visitor

    def ingest(self, capture: Path, *options: object) -> None:
        """Take a capture in."""
        ran("ingest", "--data", self.data, "--places", PLACES, capture, "--shift-end", "now", *options)


@dataclass(frozen=True)
class Visitor:
    """Somebody who goes from page to page."""

    client: httpx.Client

    def get(self, path: str, **headers: str) -> httpx.Response:
        """A page."""
        return self.client.get(path, headers=headers)

    def sign_in(self, token: str, to: str = "/") -> httpx.Response:
        """What typing a token leads to."""
        return self.client.post("/sign-in", data={"token": token, "next": to})

    def form_token(self) -> str:
        """What every form of this visitor's pages carries."""
        found = re.search(rf'name="{FORM_TOKEN}" value="([^"]+)"', self.get("/connections").text)
        assert found is not None
        return found[1]

    def sign_out(self) -> httpx.Response:
        """What the button leads to."""
        return self.client.post("/sign-out", data={FORM_TOKEN: self.form_token()})


EDGE: Final = ("--edge-listen", "127.0.0.1:0", "--visitors", "127.0.0.1:0")


@contextmanager
def serving(data: Path, *options: str) -> Iterator[Site]:
    """A server of the demo's connections; it believes the proxies of this machine."""
    ran("ingest", "--data", data, "--places", PLACES, DEMO, "--shift-end", "now")
    _commit_strange(data)
    with running(data, "--places", str(PLACES), "--trusted-proxy", "127.0.0.1/32", *options) as url:
        connectors = ""
        if "--edge" in options:
            wait(lambda: "connectors: " in (data / "log").read_text(), "the edge")
            connectors = re.findall(r"connectors: (\S+),", (data / "log").read_text())[0]
        yield Site(url, data, connectors)


def _commit_strange(data: Path) -> None:
    """A connection with an odd name: what a sensor delivered that read no names, but made them up."""
    odd = row(int(time.time()) - 3600, server_port=8444, trigger_kind="sni", trigger=NAME)
    with closing(Store(data / "store", create=True, threads=1)) as store:
        committer = store.committer()
        committer.commit([Batch("odd", "one", 1, int(time.time()), table([odd]))])
        committer.follow()


def wait(true: Callable[[], bool], what: str) -> None:
    """Wait until something is true."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"{what} did not come in time"
        time.sleep(0.05)
