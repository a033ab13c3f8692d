"""The edge's end of a connection, whatever carries it and without the network: what it does, and what it is told."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from halfopen.tunnelwire.exchange import Body, Broken, End, Refused, Request
from halfopen.tunnelwire.http2.edge import Configured
from halfopen.tunnelwire.rpc.edge_control import EdgeControl, RegistrationAsked
from tests.tunnelwire.recording.turns import Came, Closed, Did, Reset, Stopped

CONNECTION: Final = "aec4b5f3-9ef4-4797-9bc5-86c4cb2db736"
COLO: Final = "tst01"

Turn = Callable[[], Awaitable[None]]
Note = Callable[[Did], None]


@dataclass(frozen=True)
class Told:
    """What the edge was told: on the stream of a request or, where it is None, on the control stream."""

    stream: int | None
    what: Any


class EdgeEnd(ABC):
    """One connection of a connector."""

    def __init__(self, number: int, facts: dict[str, Any], turn: Turn, note: Note) -> None:
        """`turn` waits until more has come, `note` keeps what this end does."""
        self.number, self.facts = number, facts
        self.told: list[Told] = []
        self._replies: dict[int | None, list[Any]] = {}
        self._over: set[int | None] = set()
        self.closed = False
        self.flush: Callable[[], None] = lambda: None
        self.hang_up: Callable[[int], None] = lambda _: None
        self.control = EdgeControl()
        self._turn, self._note = turn, note

    # --- what has come

    async def until(self, true: Callable[[], object]) -> None:
        """Wait for something."""
        while not true():
            await self._turn()

    def replies(self, stream: int) -> list[Any]:
        """What a request was answered so far."""
        return self._replies.get(stream, [])

    def body(self, stream: int) -> bytes:
        """What of the answer's body has come."""
        return b"".join(each.data for each in self.replies(stream) if isinstance(each, Body))

    def controls(self, kind: type[Any]) -> list[Any]:
        """What was told on the control stream, of one kind."""
        return [each for each in self._replies.get(None, []) if isinstance(each, kind)]

    async def answered(self, stream: int) -> Any:
        """Wait for an answer; gives it."""
        await self.until(lambda: self.replies(stream))
        return self.replies(stream)[0]

    async def came(self, stream: int, size: int) -> None:
        """Wait for so much of an answer's body."""
        await self.until(lambda: len(self.body(stream)) >= size)

    async def over(self, stream: int) -> None:
        """Wait until a request has been answered, one way or the other."""
        await self.until(lambda: stream in self._over)

    async def heard(self, kind: type[Any], count: int = 1) -> Any:
        """Wait for something on the control stream; gives it."""
        await self.until(lambda: len(self.controls(kind)) >= count)
        return self.controls(kind)[count - 1]

    # --- what it does

    async def register(self, remotely_managed: bool = True) -> None:
        """Take the connection that is asked for."""
        await self.heard(RegistrationAsked)
        self._did("registers" if remotely_managed else "registers, configured locally")
        self.control.registered(CONNECTION, COLO, remotely_managed)
        self._answer()

    async def refuse(self, cause: str, retry: bool = False) -> None:
        """Do not."""
        await self.heard(RegistrationAsked)
        self._did(f"refuses: {cause}" + ", to be tried again" * retry)
        self.control.refused(cause, retry)
        self._answer()

    async def fail(self, reason: str) -> None:
        """Answer with an exception."""
        await self.heard(RegistrationAsked)
        self._did(f"fails: {reason}")
        self.control._vat.fail(self.control._question, reason)
        self._answer()

    async def configure(self, version: int, config: bytes) -> Any:
        """Send a configuration; gives what becomes of it."""
        self._did(f"configures {version}: {config.decode()}")
        before = len(self.controls(Configured))
        self._configure(version, config)
        self.flush()
        return (await self.heard(Configured, before + 1)).outcome

    def ask(self, request: Request) -> int:
        """Send a request; gives the number of its stream."""
        self._did(
            f"asks {request.kind.name} {request.method.decode()} {request.host.decode()}{request.path.decode()}"
        )
        stream = self._ask(request)
        self.flush()
        return stream

    def send(self, stream: int, data: bytes, end: bool = False) -> None:
        """Send a piece of a request's body."""
        self._did(f"sends {len(data)} bytes on {stream}" + ", the last" * end)
        self._send(stream, data, end)
        self.flush()

    def give_up(self, stream: int) -> None:
        """Break off a request."""
        self._did(f"gives up {stream}")
        self._give_up(stream)
        self.flush()

    def end_control(self) -> None:
        """End this part of the control stream."""
        self._did("ends the control stream")
        self._end_control()
        self.flush()

    def reset_control(self) -> None:
        """Break off the control stream."""
        self._did("breaks off the control stream")
        self._reset_control()
        self.flush()

    def close(self, code: int = 0) -> None:
        """Close the connection."""
        self._did(f"closes, with {code}")
        self.closed = True
        self.hang_up(code)

    # --- inside

    def receive(self, piece: Came | Reset | Stopped | Closed) -> None:
        """Take in what came."""
        if isinstance(piece, Closed):
            self.closed = True
        else:
            self._receive(piece)
            self.flush()

    def _did(self, what: str) -> None:
        self._note(Did(self.number, what))

    def _tell(self, stream: int | None, what: Any) -> None:
        self.told.append(Told(stream, what))
        self._replies.setdefault(stream, []).append(what)
        if isinstance(what, End | Broken | Refused):
            self._over.add(stream)

    def _hear(self, data: bytes) -> None:
        for event in self.control.receive(data):
            self._tell(None, event)
        self._answer()

    def _answer(self) -> None:
        if said := self.control.take_outgoing():
            self._say(said)
        self.flush()

    @abstractmethod
    def _receive(self, piece: Came | Reset | Stopped) -> None: ...
    @abstractmethod
    def _say(self, data: bytes) -> None: ...
    @abstractmethod
    def _ask(self, request: Request) -> int: ...
    @abstractmethod
    def _send(self, stream: int, data: bytes, end: bool) -> None: ...
    @abstractmethod
    def _give_up(self, stream: int) -> None: ...
    @abstractmethod
    def _configure(self, version: int, config: bytes) -> None: ...
    @abstractmethod
    def _end_control(self) -> None: ...
    @abstractmethod
    def _reset_control(self) -> None: ...
