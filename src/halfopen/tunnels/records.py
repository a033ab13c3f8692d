"""Tunnels and what is connected to them, as they are told. Times are microseconds since 1970, UTC."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

HEALTHY: Final = 4
"""Live connections of a tunnel that is whole: as many as cloudflared opens."""


class Status(StrEnum):
    """How a tunnel stands, by its live connections alone (A16)."""

    inactive = "inactive"
    degraded = "degraded"
    healthy = "healthy"
    down = "down"


def status_of(live: int, ran: bool) -> Status:
    """The status of a tunnel with so many live connections, which `ran` or never did."""
    if live >= HEALTHY:
        return Status.healthy
    if live:
        return Status.degraded
    return Status.down if ran else Status.inactive


@dataclass(frozen=True)
class Link:
    """One connection of a connector to an edge; pending while it is `lost` and may come back (A15)."""

    id: str
    connector: str
    version: str
    conn_index: int
    edge: str
    colo: str
    origin_ip: str
    opened: int
    lost: int | None


@dataclass(frozen=True)
class Connector:
    """One process of cloudflared with its connections, which the API calls a client."""

    id: str
    version: str
    arch: str
    features: tuple[str, ...]
    run: int
    config_version: int | None
    links: tuple[Link, ...]


@dataclass(frozen=True)
class Tunnel:
    """A tunnel with its connections; `active` and `inactive` say since when something has been live, or nothing."""

    id: str
    account: str
    name: str
    config_src: str
    created: int
    deleted: int | None
    active: int | None
    inactive: int | None
    ran: bool
    links: tuple[Link, ...]

    @property
    def status(self) -> Status:
        """How it stands."""
        return status_of(sum(link.lost is None for link in self.links), self.ran)
