"""A scenario as it is played: connections of one connector as they come, what its origin saw, what is noted of its process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final

from tests.tunnelwire.recording.ends import EdgeEnd
from tests.tunnelwire.recording.http2_end import Http2End
from tests.tunnelwire.recording.quic_end import QuicEnd
from tests.tunnelwire.recording.turns import Came, Closed, Did, Noted, Opened, Reset, Saw, Stopped, Turn

_END_OF: Final[dict[str, type[EdgeEnd]]] = {"http2": Http2End, "quic": QuicEnd}


class Play(ABC):
    """One play of a scenario over one transport."""

    def __init__(self, transport: str) -> None:
        self.transport = transport
        self.turns: list[Turn] = []
        self.ends: list[EdgeEnd] = []
        self.saw: list[Saw] = []
        self.notes: dict[str, Any] = {}

    # --- what scenarios say

    async def connection(self, number: int = 0) -> EdgeEnd:
        """Wait for a connection; gives it."""
        await self.until(lambda: len(self.ends) > number)
        return self.ends[number]

    async def http2(self) -> Http2End:
        """As `connection`, where only HTTP/2 will do."""
        end = await self.connection()
        assert isinstance(end, Http2End)
        return end

    async def quic(self) -> QuicEnd:
        """As `connection`, where only QUIC will do."""
        end = await self.connection()
        assert isinstance(end, QuicEnd)
        return end

    async def until(self, true: Callable[[], object]) -> None:
        """Wait for something."""
        while not true():
            await self.turn()

    async def leave(self) -> None:
        """Have the connector leave."""
        self.keep(Did(None, "has the connector leave"))
        await self._leave()

    async def fall_silent(self, seconds: float) -> None:
        """Neither send nor take anything for a while."""
        self.keep(Did(None, f"is silent for {seconds:g} s"))
        await self._fall_silent(seconds)

    async def note(self, name: str) -> Any:
        """See how the connector's process is: whether it is `ready`, how it comes to its `exit`, whether it is `running` after some seconds."""
        self.notes[name] = await self._note(name)
        return self.notes[name]

    async def logged(self, text: str) -> Any:
        """See whether the connector's process wrote a text into its log."""
        return await self.note(f"logged {text}")

    # --- how they are played

    def keep(self, turn: Turn) -> None:
        """Something happened."""
        self.turns.append(turn)

    @abstractmethod
    async def turn(self) -> None:
        """Wait until something has come."""

    @abstractmethod
    async def _leave(self) -> None: ...
    @abstractmethod
    async def _fall_silent(self, seconds: float) -> None: ...
    @abstractmethod
    async def _note(self, name: str) -> Any: ...

    def happened(self, turn: Turn) -> None:
        """Take in what did not come of the edge."""
        self.keep(turn)
        match turn:
            case Opened(connection=number, facts=facts):
                self.ends.append(_END_OF[self.transport](number, facts, self.turn, self.keep))
            case Came() | Reset() | Stopped() | Closed() if not self.ends[turn.connection].closed:
                self.ends[turn.connection].receive(turn)
            case Saw():
                self.saw.append(turn)


class Replay(Play):
    """A play with a recording in the place of the connector: what came before the edge did something comes before it does it again."""

    def __init__(self, transport: str, turns: Iterable[Turn]) -> None:
        super().__init__(transport)
        self._left = iter(turns)

    def keep(self, turn: Turn) -> None:
        """As `Play`; the edge has to do what it did."""
        if isinstance(turn, Did):
            assert self._take_until(Did) == turn
        super().keep(turn)

    async def turn(self) -> None:
        """Take in the next thing that came."""
        turn = next(self._left, None)
        assert turn is not None, "the recording is over, and the edge waits"
        assert not isinstance(turn, Did | Noted), f"the edge waits, and in the recording there is {turn}"
        self.happened(turn)

    def finish(self) -> None:
        """Take in what came when the edge had nothing to do any more."""
        assert self._take_until(Did) is None

    def _take_until(self, kind: type[Did | Noted]) -> Turn | None:
        for turn in self._left:
            if isinstance(turn, kind):
                return turn
            self.happened(turn)
        return None

    async def _leave(self) -> None:
        """The recording shows it."""

    async def _fall_silent(self, seconds: float) -> None:
        """The recording shows it."""

    async def _note(self, name: str) -> Any:
        noted = self._take_until(Noted)
        assert isinstance(noted, Noted)
        assert noted.name == name
        return noted.value


Script = Callable[[Play], Coroutine[Any, Any, None]]
