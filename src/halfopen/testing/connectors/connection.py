"""One connection of a connector, whatever carries it, and one request as an origin sees it."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from halfopen.testing.connectors.configuration import Configuration
from halfopen.tunnelwire.configuration import ConfigurationSent
from halfopen.tunnelwire.exchange import Answered, Body, Broken, End, Kind, Refused, Request
from halfopen.tunnelwire.headers import Header
from halfopen.tunnelwire.rpc.connector_control import Accepted, ConnectorControl, Left, Rejected
from halfopen.tunnelwire.rpc.registration import Registration


class Exchange:
    """One request, as an origin sees it: read its `body`, begin an answer, send it and end it."""

    def __init__(self, connection: Connection, stream: int, request: Request) -> None:
        self.request = request
        self._connection, self._stream = connection, stream
        self._came: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.roomy = asyncio.Event()
        self.broken = asyncio.Event()

    async def body(self) -> AsyncIterator[bytes]:
        """The pieces of the body, or what a client sends after an upgrade."""
        while (piece := await self._came.get()) is not None:
            yield piece
            self._connection.acknowledge(self._stream, len(piece))
            self._connection.flush()

    def answer(self, answer: Answered | Refused) -> None:
        """Begin an answer, or refuse."""
        self._connection.answer(self._stream, answer)
        self._connection.flush()

    async def send(self, data: bytes, end: bool = False) -> None:
        """Send a piece of the answer as there is room."""
        rest = memoryview(data)
        while (rest or end) and not self.broken.is_set():
            room = self._connection.room(self._stream) if rest else 0
            if rest and not room:
                self.roomy.clear()
                await self.roomy.wait()
                continue
            piece, rest = bytes(rest[:room]), rest[room:]
            self._connection.send(self._stream, piece, end and not rest)
            self._connection.flush()
            if not rest:
                return

    def end(self, trailers: Sequence[Header] = ()) -> None:
        """End the answer, with trailers where the transport has them."""
        self._connection.end(self._stream, tuple(trailers))
        self._connection.flush()

    def give_up(self) -> None:
        """Break off."""
        self._connection.give_up(self._stream)
        self._connection.flush()

    def take(self, what: Body | End | Broken) -> None:
        """More of the request."""
        if isinstance(what, Body):
            self._came.put_nowait(what.data)
            return
        self._came.put_nowait(None)
        if isinstance(what, Broken):
            self.broken.set()
            self.roomy.set()


Origin = Callable[[Exchange], Awaitable[None]]


class Connection(ABC):
    """One connection: `outcome` says whether the edge took it, `left` that it has heard the good-bye, `lost` that it is over."""

    def __init__(self, wish: Registration, origin: Origin, configuration: Configuration) -> None:
        self._wish, self._origin = wish, origin
        self.configuration = configuration
        self._configured_here = False
        self._loop = asyncio.get_running_loop()
        self._control = ConnectorControl()
        self._exchanges: dict[int, Exchange] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.outcome: asyncio.Future[Accepted | Rejected] = self._loop.create_future()
        self.left = asyncio.Event()
        self.lost = asyncio.Event()
        self.configurations: list[ConfigurationSent] = []

    # --- what carries it

    @abstractmethod
    def say(self, data: bytes, end: bool = False) -> None:
        """Send bytes of the control stream, and end it."""

    @abstractmethod
    def flush(self) -> None:
        """Send what is to be sent."""

    @abstractmethod
    def close(self) -> None:
        """Break off."""

    @abstractmethod
    def answer(self, stream: int, answer: Answered | Refused) -> None:
        """Begin the answer of a stream."""

    @abstractmethod
    def room(self, stream: int) -> int:
        """How many bytes of an answer may be sent now."""

    @abstractmethod
    def send(self, stream: int, data: bytes, end: bool) -> None:
        """Send a piece of an answer, no more than there is room for, or its end."""

    @abstractmethod
    def end(self, stream: int, trailers: tuple[Header, ...]) -> None:
        """End an answer."""

    @abstractmethod
    def give_up(self, stream: int) -> None:
        """Break off an answer."""

    @abstractmethod
    def acknowledge(self, stream: int, size: int) -> None:
        """So many bytes of a request were taken."""

    # --- what its user wants

    def tell_configuration(self, config: bytes) -> None:
        """Say what is configured locally (JSON)."""
        self._control.configured(config)
        self._say()

    async def leave(self) -> None:
        """Say good-bye, and wait until the edge has heard it."""
        self._control.leave()
        self._say()
        await self.left.wait()

    # --- what comes

    def began(self) -> None:
        """The control stream is there."""
        self._control.register(self._wish)
        self._say()

    def heard(self, data: bytes) -> None:
        """Bytes of the control stream."""
        for told in self._control.receive(data):
            if isinstance(told, Accepted | Rejected) and not self.outcome.done():
                self.outcome.set_result(told)
                self._configured_here = isinstance(told, Accepted) and not told.remotely_managed
            elif isinstance(told, Left):
                self.left.set()
                self._control.close()
        self._say()

    def configured(self, sent: ConfigurationSent) -> str:
        """A configuration; gives what is wrong with it."""
        self.configurations.append(sent)
        return self.configuration.take(sent)

    def asked(self, stream: int, what: Request | Body | End | Broken) -> None:
        """A request, or more of it."""
        if isinstance(what, Request) and what.kind is not Kind.TCP and not self._serves():
            self.answer(stream, Answered(503))
            self.end(stream, ())
        elif isinstance(what, Request):
            exchange = self._exchanges[stream] = Exchange(self, stream, what)
            task = self._loop.create_task(self._serve(stream, exchange))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif (known := self._exchanges.get(stream)) is not None:
            known.take(what)

    def roomy(self) -> None:
        """There may be more room to send."""
        for exchange in self._exchanges.values():
            exchange.roomy.set()

    def gone(self) -> None:
        """It is over."""
        if not self.outcome.done():
            self.outcome.set_exception(ConnectionError("the edge has closed the connection"))
            self.outcome.exception()  # it may be that nobody asks
        self.lost.set()

    def _serves(self) -> bool:
        return self._configured_here or self.configuration.serving

    async def _serve(self, stream: int, exchange: Exchange) -> None:
        try:
            await self._origin(exchange)
        finally:
            self._exchanges.pop(stream, None)

    def _say(self) -> None:
        if told := self._control.take_outgoing():
            self.say(told, end=self.left.is_set())
            self.flush()
