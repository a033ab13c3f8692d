"""What can happen at either end of an HTTP/2 connection."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ControlBytes:
    """Bytes of the control stream."""

    data: bytes


@dataclass(frozen=True)
class ControlEnded:
    """The other end has ended the control stream. A connector that leaves does so, and serves on until the connection is closed."""


@dataclass(frozen=True)
class Room:
    """There may be more room to send on a stream, on any of them where it is 0."""

    stream: int


@dataclass(frozen=True)
class Lost:
    """The connection is over: why. What was under way was told to be broken before."""

    reason: str
