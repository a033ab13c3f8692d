"""What a connector asks for when it registers with an edge, and what it is told."""

from __future__ import annotations

import logging
from collections.abc import Set
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import Row

from halfopen.errors import DatabaseError
from halfopen.tunnels.vault import Vault

MOST_CONNECTORS: Final = 100
"""Live connectors of a tunnel."""

LONGEST_WORD: Final = 64
"""Characters of a version, an architecture or a feature."""

MOST_FEATURES: Final = 64

UNKNOWN: Final = "Unauthorized: Record for tunnel not found"
DELETED: Final = "Unauthorized: Failed to get tunnel"
SECRET: Final = "Unauthorized: Invalid tunnel secret"
UNREADABLE: Final = "Unauthorized: Tunnel secret cannot be read"
"""Why a registration is refused, in words of which cloudflared knows the first: it tries again for ever, with pauses."""

CROWDED: Final = f"This tunnel has {MOST_CONNECTORS} connectors already, which is the most"
"""A refusal without that word: a cloudflared that was never connected tells it and ends (over HTTP/2), where another try would help
nobody and who started one too many is to hear of it. One that was connected tries again."""

_FAULTS: Final = logging.getLogger("halfopen.faults")
_LONGEST: Final = {
    "account": 32,
    "tunnel": 36,
    "connector": 36,
    "version": LONGEST_WORD,
    "arch": LONGEST_WORD,
    "origin_ip": 45,
}


@dataclass(frozen=True)
class Registration:
    """One connection of a connector, as it registers with an edge. `secret` is what it claims the tunnel's to be."""

    account: str
    tunnel: str
    secret: bytes
    connector: str
    conn_index: int
    version: str
    arch: str
    features: tuple[str, ...]
    origin_ip: str

    def fault(self) -> str | None:
        """What no database would take, in words: it is found before one that is shared with others' registrations is asked."""
        for name, most in _LONGEST.items():
            if not _is_plain(getattr(self, name), most):
                return f"{name}: not up to {most} printable characters"
        if len(self.features) > MOST_FEATURES or not all(
            _is_plain(each, LONGEST_WORD) for each in self.features
        ):
            return f"features: not up to {MOST_FEATURES} of up to {LONGEST_WORD} printable characters"
        return None if 0 <= self.conn_index <= 255 else "conn_index: not from 0 to 255"


@dataclass(frozen=True)
class Registered:
    """A registration that is accepted: the id of the connection; whether the tunnel is configured here."""

    connection: str
    remotely_managed: bool


@dataclass(frozen=True)
class Refused:
    """A registration that is not: what the connector is told."""

    cause: str


def decided(
    asked: Registration, tunnel: Row[Any] | None, connectors: Set[str], vault: Vault
) -> Registered | Refused:
    """The answer to a sound registration with a tunnel (its row, None where there is none) that has these live connectors."""
    if tunnel is None or tunnel.account_id != asked.account:
        return Refused(UNKNOWN)
    try:
        if not vault.holds(asked.tunnel, tunnel.secret, asked.secret):
            return Refused(SECRET)
    except DatabaseError as error:
        _FAULTS.error("tunnel %s: a registration is refused: %s", asked.tunnel, error)
        return Refused(UNREADABLE)
    if tunnel.deleted is not None:
        return Refused(DELETED)
    if len(connectors) >= MOST_CONNECTORS and asked.connector not in connectors:
        return Refused(CROWDED)
    return Registered(str(uuid4()), tunnel.config_src == "cloudflare")


def _is_plain(text: str, most: int) -> bool:
    return len(text) <= most and text.isprintable()
