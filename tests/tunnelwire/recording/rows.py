"""What the recordings show, as a table: each row is a test of one fact, which says in its first line what the fact is.

No recording shows

- flows of UDP and pings in datagrams, of either version, and flows that are registered in datagrams: an edge carries neither yet;
- thousands of registrations of a connector that knows one address and is told that it is connected there already: an edge never says that;
- a connector before an edge that speaks by another library for Cap'n Proto: the codec is compared with that one by itself;
- for how long a connector waits, for a preface, an answer, or the end of its time of grace: a recording is an order without times.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import cache
from typing import Final

import pytest

from tests.tunnelwire.recording.play import Replay
from tests.tunnelwire.recording.scenarios import SCENARIOS
from tests.tunnelwire.recording.turns import Turn, path, read

USED: Final[set[tuple[str, str]]] = set()
"""Recordings that some row is shown by."""

Fact = Callable[[Replay], None]


@cache
def recorded(name: str, transport: str) -> tuple[Turn, ...]:
    """The turns of a recording."""
    return tuple(read(path(name, transport)))


def replay(name: str, transport: str, turns: Iterable[Turn]) -> Replay:
    """Play a scenario with turns in the place of the connector."""
    made = Replay(transport, turns)
    asyncio.run(SCENARIOS[name].play(made))
    made.finish()
    return made


def shown(*scenarios: str, over: str = "") -> Callable[[Fact], Callable[[tuple[str, str]], None]]:
    """A row: a fact that scenarios show, over both transports where not only over one."""
    plays = [
        (name, transport)
        for name in scenarios
        for transport in SCENARIOS[name].transports
        if over in transport
    ]
    USED.update(plays)

    def row(fact: Fact) -> Callable[[tuple[str, str]], None]:
        def test(of: tuple[str, str]) -> None:
            fact(replay(*of, recorded(*of)))

        test.__doc__ = fact.__doc__
        return pytest.mark.parametrize("of", plays, ids="-".join)(test)

    return row
