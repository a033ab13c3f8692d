"""What paths with ids lead to: an account's zone, tunnels with a connector, and an edge with its key and session."""

from __future__ import annotations

from base64 import b64encode
from itertools import count
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from halfopen.accounts.permissions import EDGE_REPORT
from halfopen.tunnels.installation import Installation
from halfopen.tunnels.registrations import Registered, Registration
from halfopen.tunnels.vault import RunToken

_CONFIG: Final = {"ingress": [{"service": "http_status:404"}]}


class Seeded:
    """Tunnels of an installation whose server runs, one after the other."""

    def __init__(self, data: Path) -> None:
        self._here = Installation(data)
        self._numbers = count()
        self.account = self._here.accounts.create_account("Seeded").id
        self._zone = self._here.hostnames.add_zone(self.account, "seeded.example").id
        self._edge = self._here.edges.enrol("seeded-1")
        self.key, _ = self._here.accounts.create_token([EDGE_REPORT], edge="seeded-1")
        self.admin, _ = self._here.accounts.create_token(["admin"])

    def close(self) -> None:
        self._here.close()

    def place(self) -> tuple[dict[str, str], dict[str, Any]]:
        """The parameters of paths to a new tunnel with a pending connector; and by the end of a path bodies that are good there
        but for which the document does not say enough."""
        tunnel, token = self._here.tunnels.create(self.account, f"seeded-{next(self._numbers)}")
        self._here.configurations.put(self.account, tunnel.id, _CONFIG)
        asked = _registration(token)
        registry = self._here.registry
        (told,) = registry.register(registry.begin(self._edge.id), [asked])
        assert isinstance(told, Registered)
        session = registry.begin(self._edge.id)  # what the last one held is pending: nobody is waited for
        path = {
            "account_id": self.account, "tunnel_id": tunnel.id, "connector_id": asked.connector, "zone_id": self._zone,
            "edge_name": self._edge.name, "session_id": session.id,
        }  # fmt: skip
        again = {name: getattr(asked, name) for name in asked.__dataclass_fields__}
        again["secret"] = b64encode(asked.secret).decode()
        bodies = {
            "cfd_tunnel": {"name": f"made-{tunnel.id[:8]}"},
            "{tunnel_id}": {"name": f"changed-{tunnel.id[:8]}"},
            "configurations": {"config": _CONFIG, "tunnels": [tunnel.id]},  # of the API, and of edges
            "management": {"resources": ["logs"]},
            "routes": {"user_hostname": f"app-{tunnel.id[:8]}"},
            "registrations": {"registrations": [again]},
            "heartbeat": {"connections": [told.connection]},
            "departures": {"connections": [told.connection], "lost": True},
            "reports": {"connection": told.connection, "applied": 1},
            "traffic": {"passed": [], "within": 10.0},
        }
        return path, bodies


def _registration(token: RunToken) -> Registration:
    return Registration(
        token.account, token.tunnel, token.secret, str(uuid4()), 0, "2026.8.2", "linux_amd64", (), "192.0.2.1"
    )
