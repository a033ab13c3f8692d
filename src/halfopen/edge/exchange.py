"""One request of a visitor on its way through a tunnel: what the edge's two sides are to each other."""

from __future__ import annotations

from typing import Final, Protocol

from halfopen.tunnelwire.exchange import Answered, Broken, End, Refused

BACKLOG: Final = 1 << 18
"""Bytes of one request that wait for the connector before no more are welcome."""


class Stream(Protocol):
    """The connector's side."""

    def send(self, data: bytes, ends: bool = False) -> bool:
        """Send a piece of the body; whether more is welcome, else `Exchange.drained` says when."""
        ...

    def resume(self) -> None:
        """The visitor has taken what came: more may come."""
        ...

    def cancel(self) -> None:
        """The visitor is gone, or wants no more."""
        ...


class Exchange(Protocol):
    """The visitor's side."""

    def reply(self, reply: Answered | Refused | End | Broken) -> None:
        """The answer begins, or will not come; or it ends, whole or not."""
        ...

    def received(self, data: bytes) -> bool:
        """A piece of the answer's body; whether more may come, else `Stream.resume` says when."""
        ...

    def drained(self) -> None:
        """More of the request is welcome."""
        ...
