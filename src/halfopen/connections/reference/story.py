"""What `explain` tells: all that happened to a connection."""

from __future__ import annotations

from dataclasses import dataclass, field

from halfopen.connections.reference.connection import Connection, Packet
from halfopen.connections.reference.verdict import Verdict


@dataclass(slots=True)
class Event:
    """One packet of a story: what it was and what was made of it."""

    side: str  # client, server or router
    packet: Packet
    note: str = ""


@dataclass(slots=True)
class Story:
    """A connection with all that happened to it, for `explain`."""

    connection: Connection
    events: list[Event] = field(default_factory=list)
    verdict: Verdict | None = None
