"""An installation with accounts, tunnels and edges, for tests; its clock can be moved."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import pytest

from halfopen.database.database import Database
from halfopen.tunnels.installation import Installation
from halfopen.tunnels.records import Tunnel
from halfopen.tunnels.registrations import Refused, Registered, Registration
from halfopen.tunnels.sessions import Session
from halfopen.tunnels.vault import RunToken

MINUTE = 60.0


def asked(
    token: RunToken, index: int = 0, connector: str | None = None, secret: bytes | None = None
) -> Registration:
    """A registration with this token."""
    return Registration(
        account=token.account,
        tunnel=token.tunnel,
        secret=token.secret if secret is None else secret,
        connector=connector or str(uuid4()),
        conn_index=index,
        version="2026.8.2",
        arch="linux_amd64",
        features=("serialized_headers", "allow_remote_config"),
        origin_ip="198.51.100.7",
    )


class World:
    """An installation whose time stands still but for `later`."""

    def __init__(self, data: Path, url: str | None, patch: pytest.MonkeyPatch) -> None:
        self.time = 1_700_000_000_000_000
        patch.setattr(Database, "now", lambda _, __: self._now())
        self.here = Installation(data, url)
        self.account = self.here.accounts.every_account()[0].id
        self.edges: dict[str, Session] = {}

    def _now(self) -> int:
        self.time += 1  # no two moments are the same
        return self.time

    def later(self, seconds: float) -> None:
        self.time += round(seconds * 1_000_000)

    def edge(self, name: str = "edge-1") -> Session:
        """A new process of an edge, which is enrolled if it was not."""
        edge = self.here.edges.named(name) or self.here.edges.enrol(name, f"{name[:3]}01")
        self.edges[name] = self.here.registry.begin(edge.id)
        return self.edges[name]

    def tunnel(self, name: str = "blog", config_src: str = "local") -> tuple[Tunnel, RunToken]:
        return self.here.tunnels.create(self.account, name, config_src)

    def connect(
        self,
        session: Session,
        token: RunToken,
        indexes: Sequence[int] = range(4),
        connector: str | None = None,
    ) -> list[str]:
        """The ids of the connections of one connector."""
        name = connector or str(uuid4())
        told = self.here.registry.register(session, [asked(token, index, name) for index in indexes])
        return [each.connection for each in told if isinstance(each, Registered)]

    def refused(self, session: Session, asked: Registration) -> str:
        (told,) = self.here.registry.register(session, [asked])
        assert isinstance(told, Refused)
        return told.cause

    def links(self, tunnel: Tunnel) -> dict[str, bool]:
        """The listed connections of a tunnel by id, each with whether it is pending."""
        found = self.here.tunnels.connectors(tunnel.account, tunnel.id)
        return {link.id: link.lost is not None for connector in found for link in connector.links}

    def get(self, tunnel: Tunnel) -> Tunnel:
        return self.here.tunnels.get(tunnel.account, tunnel.id)
