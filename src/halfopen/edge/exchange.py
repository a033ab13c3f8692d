"""One request of a visitor on its way through a tunnel: what the edge's two sides are to each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from halfopen.tunnelwire.headers import Header


class Kind(StrEnum):
    """What a request is to a connector."""

    http = ""
    websocket = "websocket"


@dataclass(frozen=True, slots=True)
class Request:
    """A visitor's request, cleaned of what it may not say; `ends`: it has no body."""

    kind: Kind
    method: bytes
    scheme: bytes
    host: bytes
    target: bytes  # path and query, as they came
    headers: Sequence[Header]  # lower case
    ends: bool


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

    def answered(self, status: int, headers: Sequence[Header], from_origin: bool) -> None:
        """The answer begins; `from_origin` is false where the connector made it, for want of an origin."""
        ...

    def received(self, data: bytes) -> bool:
        """A piece of the answer's body; whether more may come, else `Stream.resume` says when."""
        ...

    def finished(self, trailers: Sequence[Header]) -> None:
        """The answer is whole."""
        ...

    def broken(self, why: str) -> None:
        """There will be no more of the answer."""
        ...

    def drained(self) -> None:
        """More of the request is welcome."""
        ...
