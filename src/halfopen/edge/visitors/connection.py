"""What connections of visitors have in common, whatever version of HTTP they speak: an end that is known, and patience that is not endless."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from halfopen.edge.front import Front, Peer

if TYPE_CHECKING:
    from halfopen.edge.visitors.arrival import Visitors

ARRIVAL: Final = 15.0
"""Seconds within which a request's headers must have come, the first one's since the connection."""

IDLE: Final = 75.0
"""Seconds for which a connection without a request stays open."""

UPLOAD: Final = 60.0
"""Seconds for which more of a request's body is waited for while its answer has not begun."""

TAKING: Final = 120.0
"""Seconds within which something of what waits for a visitor must be taken."""

LONGEST_HEADERS: Final = 64 << 10
"""Bytes of a request's line and headers."""

BUFFER: Final = 256 << 10
"""Bytes of answers that wait for a visitor before no more are welcome."""


class Connection(asyncio.Protocol):
    """One connection of a visitor; it is among `visitors.present` while it is there."""

    def __init__(self, visitors: Visitors, peer: Peer) -> None:
        self.peer = peer
        self._visitors = visitors
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._deadline = self._loop.time() + ARRIVAL  # for what is waited for, as long as something is
        self._writable = True
        self._said: list[bytes] = []  # what goes out together
        self._paused = False
        self._finishing = False
        self._untaken = 0  # bytes that waited for the visitor at the last look
        self._taken = 0.0  # when they were others for the last time

    @property
    def front(self) -> Front:
        """What requests go by."""
        return self._visitors.front

    @property
    def now(self) -> float:
        """The time of the loop, in seconds."""
        return self._loop.time()

    @property
    def idle(self) -> bool:
        """Whether nothing is under way, so that it may be closed to make room."""
        raise NotImplementedError

    def finish(self) -> None:
        """End when what is under way has ended, or now if nothing is."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A visitor has come."""
        transport = cast(asyncio.Transport, transport)  # uvloop's are none by name
        self._transport = transport
        transport.set_write_buffer_limits(BUFFER)
        self._visitors.present[self] = None

    def connection_lost(self, exc: Exception | None) -> None:
        """The visitor is gone."""
        self._transport = None
        self._visitors.present.pop(self, None)
        self._visitors.gone(self.peer.address.decode())

    def pause_writing(self) -> None:
        """The visitor takes less than comes."""
        self._writable = False

    def resume_writing(self) -> None:
        """It has caught up."""
        self._writable = True

    def look(self, now: float) -> None:
        """See whether the visitor is waited for in vain."""
        if self._transport is None:
            return
        untaken = self._transport.get_write_buffer_size()
        if not untaken or untaken != self._untaken:
            self._untaken, self._taken = untaken, now
        elif now - self._taken > TAKING:
            self._transport.abort()
        if self.idle and now > self._deadline:
            self.close()

    def pause(self) -> None:
        """Read no more for now."""
        if self._transport is not None and not self._paused and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def unpause(self) -> None:
        """Read on."""
        if self._transport is not None and self._paused and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    def write(self, data: bytes) -> None:
        """Send to the visitor, at once with all that is said meanwhile."""
        if not self._said:
            self._loop.call_soon(self._say)
        self._said.append(data)

    def _say(self) -> None:
        said, self._said = self._said, []
        if said and self._transport is not None:
            self._transport.writelines(said)

    def close(self) -> None:
        """Send what is written, and end."""
        self._say()
        if self._transport is not None:
            self._transport.close()
