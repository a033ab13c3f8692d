"""How connectors of a machine come to an edge of it: the command that starts cloudflared."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from shlex import quote

from halfopen.edge.door import Address, spoken


@dataclass(frozen=True)
class Way:
    """Where an edge listens for connectors, and the file that they trust it by."""

    connectors: Address
    authority: Path

    @property
    def anywhere(self) -> bool:
        """Whether it listens at every address of its machine: ADDRESS stands for one of them."""
        return ip_address(self.connectors[0]).is_unspecified

    def command(self, token: str, protocol: str | None = None) -> str:
        """What starts a connector with a token, by QUIC unless told otherwise."""
        reached = f"ADDRESS:{self.connectors[1]}" if self.anywhere else spoken(self.connectors)
        edges = " ".join([f"--edge {reached}"] * 4)  # as many connections as places
        by = f" --protocol {protocol}" if protocol else ""
        return f"cloudflared tunnel --cacert {quote(str(self.authority))} {edges}{by} run --token {token}"
