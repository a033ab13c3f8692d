"""A server that runs, and an edge played against it over HTTP."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from secrets import token_hex
from typing import Any
from uuid import uuid4

import httpx
from cloudflare import Cloudflare

from halfopen.accounts.permissions import EDGE_REPORT
from halfopen.tunnels.hostnames import Zone
from halfopen.tunnels.installation import Installation
from halfopen.tunnels.vault import RunToken
from tests.databases.database import Database


@dataclass(frozen=True)
class Server:
    """A running `halfopen serve`, on one kind of database."""

    database: Database
    api: str
    account: str
    token: str

    def tenant(self, *permissions: str) -> Server:
        """The same server as a new account sees it, by a token that may do all with its tunnels, or only what is named."""
        with self.database.accounts() as accounts:
            account = accounts.create_account(f"tenant {token_hex(4)}").id
        return replace(self, account=account, token="").allowed(*permissions)

    def allowed(self, *permissions: str) -> Server:
        """The same account by another token."""
        with self.database.accounts() as accounts:
            token, _ = accounts.create_token(
                permissions or ("Cloudflare Tunnel Write",), account=self.account
            )
        return replace(self, token=token)

    def edge(self, name: str = "") -> PlayedEdge:
        """A new process of an edge, which is enrolled if it was not."""
        name = name or f"edge-{token_hex(4)}"
        with closing(Installation(self.database.data, self.database.url)) as here:
            here.edges.enrol(name, name[-5:])
            key, _ = here.accounts.create_token([EDGE_REPORT], edge=name)
        return PlayedEdge(self, name, key)

    def revoke(self, name: str) -> None:
        """Let an edge speak no more."""
        with closing(Installation(self.database.data, self.database.url)) as here:
            here.edges.revoke(name)

    def zone(self, name: str) -> Zone:
        """A zone of this account."""
        with closing(Installation(self.database.data, self.database.url)) as here:
            return here.hostnames.add_zone(self.account, name)

    @property
    def tunnels(self) -> str:
        return f"/accounts/{self.account}/cfd_tunnel"

    def client(self, token: str | None = None) -> Cloudflare:
        return Cloudflare(
            base_url=self.api, api_token=token or self.token, max_retries=0, _strict_response_validation=True
        )

    def ask(self, method: str, path: str, token: str | None = None, **more: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {token or self.token}"}
        return httpx.request(method, f"{self.api}{path}", headers=headers, timeout=30, **more)


class PlayedEdge:
    """An edge that holds nothing but ids, and closes what it is told to."""

    def __init__(self, server: Server, name: str, key: str) -> None:
        self._server = server
        self.name = name
        self.key = key
        self.held: set[str] = set()
        begun = self.post(f"/edges/{name}/sessions")
        self.session = begun["session"]
        self.colo = begun["colo"]

    def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self._server.ask(method, path, self.key, **more)

    def post(self, path: str, body: Any = None) -> Any:
        answer = self.ask("POST", path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    def here(self, path: str) -> str:
        return f"/edges/{self.name}/sessions/{self.session}/{path}"

    def register(
        self, token: str, indexes: Sequence[int] = range(4), connector: str | None = None
    ) -> list[Any]:
        parsed = RunToken.parse(token)
        assert parsed is not None
        name = connector or str(uuid4())
        told: list[Any] = self.post(
            self.here("registrations"),
            {
                "registrations": [
                    {
                        "account": parsed.account,
                        "tunnel": parsed.tunnel,
                        "secret": b64encode(parsed.secret).decode(),
                        "connector": name,
                        "conn_index": index,
                        "version": "2026.8.2",
                        "arch": "linux_amd64",
                        "features": ["serialized_headers", "allow_remote_config"],
                        "origin_ip": "198.51.100.7",
                    }
                    for index in indexes
                ]
            },
        )
        self.held |= {each["connection"] for each in told if "connection" in each}
        return told

    def heartbeat(self) -> list[str]:
        closed: list[str] = self.post(self.here("heartbeat"), {"connections": sorted(self.held)})["close"]
        return closed

    def depart(self, ids: Sequence[str], lost: bool = False) -> None:
        self.post(self.here("departures"), {"connections": list(ids), "lost": lost})
        self.held -= set(ids)

    def news(self, routing: int = -1, wait: int = 0) -> Any:
        answer = self.ask("GET", self.here("news"), params={"routing": routing, "wait": wait})
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    def routing(self) -> Any:
        return self.ask("GET", self.here("routing")).json()["result"]
