"""Every scenario: played with cloudflared's recording the edge understands it, played with our connector it is as with cloudflared."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tunnelwire import test_recorded_control, test_recorded_exchanges, test_recorded_sessions
from tests.tunnelwire.recording.likeness import likeness
from tests.tunnelwire.recording.live import play
from tests.tunnelwire.recording.ours import Ours
from tests.tunnelwire.recording.rows import USED, recorded, replay
from tests.tunnelwire.recording.scenarios import SCENARIOS
from tests.tunnelwire.recording.turns import FOLDER, Came, Noted, Turn, path

TABLE = (test_recorded_control, test_recorded_exchanges, test_recorded_sessions)  # which say what is used
ALL = [(name, transport) for name, told in SCENARIOS.items() for transport in told.transports]


def in_pieces(turns: tuple[Turn, ...], size: Callable[[int], int]) -> Iterator[Turn]:
    """The same, with what came in pieces, of a `size` for so many bytes."""
    for turn in turns:
        while isinstance(turn, Came) and 0 < (first := size(len(turn.data))) < len(turn.data):
            yield replace(turn, data=turn.data[:first], end=False)
            turn = replace(turn, data=turn.data[first:])
        yield turn


def test_there_is_a_recording_of_every_scenario_and_no_other() -> None:
    assert {each.name for each in FOLDER.iterdir()} == {path(*each).name for each in ALL}
    assert sum(each.stat().st_size for each in FOLDER.iterdir()) < 500_000


@pytest.mark.parametrize(("name", "transport"), ALL)
def test_the_edge_understands_what_was_recorded(name: str, transport: str) -> None:
    turns = recorded(name, transport)
    made = replay(name, transport, turns)
    assert made.turns == [turn for turn in turns if not isinstance(turn, Noted)]
    bytewise = replay(name, transport, in_pieces(turns, lambda _: 1))
    assert likeness(bytewise) == likeness(made)


@given(st.sampled_from(ALL), st.data())
@settings(max_examples=150)
def test_pieces_make_no_difference(of: tuple[str, str], data: st.DataObject) -> None:
    turns = recorded(*of)
    cuts = data.draw(st.lists(st.integers(1, 400), min_size=1, max_size=8))
    taken = cycle(cuts)
    made = replay(*of, in_pieces(turns, lambda _: next(taken)))
    assert likeness(made) == likeness(replay(*of, turns))


@pytest.mark.parametrize(("name", "transport"), [each for each in ALL if not SCENARIOS[each[0]].alone])
def test_our_connector_behaves_as_cloudflared_does(name: str, transport: str, tmp_path: Path) -> None:
    told = SCENARIOS[name]
    made = asyncio.run(play(told.play, transport, Ours(), tmp_path / "edge", told.preface, told.datagrams))
    assert likeness(made) == likeness(replay(name, transport, recorded(name, transport)))


def test_every_recording_shows_something() -> None:
    assert set(ALL) == USED
