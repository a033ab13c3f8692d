"""Turns: one connection takes no more than its part of the loop, whatever it sends."""

from __future__ import annotations

import asyncio
from typing import Any

from halfopen.edge.turns import Turns
from tests.edge.test_hostile import Wire


class Taker:
    """Takes three bytes in a turn."""

    def __init__(self) -> None:
        self.turns: list[bytes] = []
        self._left = b""

    def take(self, received: bytes) -> None:
        self._left += received
        self.turns.append(self._left[:3])
        self._left = self._left[3:]

    @property
    def behind(self) -> bool:
        return bool(self._left)


def played(scene: Any) -> None:
    async def whole() -> None:
        taker, wire = Taker(), Wire(None)
        await scene(taker, wire, Turns(wire, taker))

    asyncio.run(whole())


def test_what_is_more_than_a_turn_waits_for_others_and_nothing_is_read_meanwhile() -> None:
    async def scene(taker: Taker, wire: Wire, turns: Turns) -> None:
        turns.came(b"abc")
        assert not wire.paused
        turns.came(b"defghij")
        assert (taker.turns, wire.paused) == ([b"abc", b"def"], True)
        turns.came(b"kl")  # was read already
        await asyncio.sleep(0)
        assert (taker.turns[2:], wire.paused) == ([b"ghi"], True)
        await asyncio.sleep(0)
        assert (taker.turns[3:], wire.paused) == ([b"jkl"], False)

    played(scene)


def test_nothing_is_taken_while_reading_is_held_up() -> None:
    async def scene(taker: Taker, wire: Wire, turns: Turns) -> None:
        turns.came(b"abcdef")
        turns.hold()
        turns.came(b"ghi")
        for _ in range(3):
            await asyncio.sleep(0)
        assert (taker.turns, wire.paused) == ([b"abc"], True)
        turns.release()
        for _ in range(3):
            await asyncio.sleep(0)
        assert (taker.turns, wire.paused) == ([b"abc", b"def", b"ghi"], False)
        turns.hold()
        assert wire.paused
        turns.release()
        assert not wire.paused

    played(scene)


def test_nothing_is_taken_of_who_is_closed() -> None:
    async def scene(taker: Taker, wire: Wire, turns: Turns) -> None:
        turns.came(b"abcdef")
        wire.close()
        await asyncio.sleep(0)
        turns.came(b"g")
        assert taker.turns == [b"abc"]

    played(scene)
