"""A scenario: what an edge does with a connector, written once, and what it takes to play it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.tunnelwire.recording.play import Script

BOTH: Final = ("http2", "quic")


@dataclass(frozen=True)
class Scenario:
    """The transports it is played over, options of cloudflared, what the edge's sockets do; `alone` says why our connector does not play it."""

    play: Script
    transports: tuple[str, ...]
    options: tuple[str, ...]
    preface: bool
    datagrams: bool
    alone: str


def scenario(
    transports: tuple[str, ...] = BOTH,
    options: tuple[str, ...] = (),
    preface: bool = True,
    datagrams: bool = True,
    alone: str = "",
) -> Callable[[Script], Scenario]:
    """Make a scenario of a function; it is known by the function's name."""
    return lambda play: Scenario(play, transports, options, preface, datagrams, alone)
