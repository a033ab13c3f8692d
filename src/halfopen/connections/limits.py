"""What bounds a connection in time and the flow table in size, and which hosts are the servers."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import Final

from halfopen.errors import UsageError
from halfopen.model import SECOND

MOST_CONNECTIONS: Final = 1 << 26
"""Above this the indices of the flow table's cells would not fit 32 bits."""

STRAY_REACH: Final = 1 << 20
"""How far beyond the highest sequence number a reset may lie and still belong (D9, D16)."""

SLOTS: Final = 1024
"""Seconds of the timing wheel: a connection is looked at again after at most so many."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in ns (D1). No ports and no networks mean that every host is a server.

    `partial`: of servers only SYN, FIN and RST are seen, as by a live sensor. What they sent in between is
    unknown then, and nothing is made of it: neither what is outstanding (D1, D17) nor foreign resets (D9).
    """

    idle_timeout: int = 10 * SECOND
    linger_syn: int = 90 * SECOND
    linger: int = 900 * SECOND
    max_connections: int = 1 << 20
    server_ports: frozenset[int] = frozenset()
    server_nets: tuple[IPv4Network | IPv6Network, ...] = ()
    partial: bool = False

    def __post_init__(self) -> None:
        if self.idle_timeout <= 0:
            raise UsageError("idle timeout", f"{self.idle_timeout / SECOND:g} s", "more than 0 s")
        # A silent connection stays open at least as long as it takes to call it silent.
        for name in ("linger_syn", "linger"):
            object.__setattr__(self, name, max(getattr(self, name), self.idle_timeout))
        if not 0 < self.max_connections <= MOST_CONNECTIONS:
            raise UsageError("max connections", self.max_connections, f"1 to {MOST_CONNECTIONS}")
        for port in self.server_ports:
            if not 0 <= port <= 65535:
                raise UsageError("server port", port, "0 to 65535")
