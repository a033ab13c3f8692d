"""The state of a page is that of its URL, and what it asks for is what the API takes."""

from __future__ import annotations

import asyncio
import shlex
from typing import Any, cast
from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfopen.dashboard.asked import FILTERS, INTERVALS, RANGES, Asked, found
from halfopen.dashboard.asking import Asking, Query, Told
from halfopen.dashboard.calls import calls
from halfopen.dashboard.views import VIEWS
from halfopen.errors import InvalidError
from halfopen.radar.parameters import question_of
from halfopen.radar.vocabulary import ENDPOINTS

NOW = 1_780_000_000 + 52 * 60
"""Eight minutes to the hour."""

VALUES = {
    "location": "DE,-FR", "asn": "64496", "continent": "EU", "signature": "psh_rst", "tag": "-fin,-answered", "ipVersion": "IPv6",
    "serverPort": "443", "sensor": "web-1",
}  # fmt: skip

STATES = st.fixed_dictionaries(
    {},
    optional={
        **{name: st.just(value) for name, value in VALUES.items()},
        "dateRange": st.sampled_from(list(RANGES)),
        "aggInterval": st.sampled_from([each for each in INTERVALS if each]),
        "compare": st.just("1"),
    },
)


def parsed(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


@given(STATES)
def test_the_url_of_a_state_is_that_state(state: dict[str, str]) -> None:
    asked = Asked.of(state)
    assert parsed(asked.url("/resets")) == {"dateRange": "7d", **state}
    assert Asked.of(parsed(asked.url("/resets")), asked.now) == asked


@given(STATES, st.sampled_from(list(FILTERS)))
def test_a_filter_is_taken_away_and_the_rest_stays(state: dict[str, str], name: str) -> None:
    left = parsed(Asked.of(state).url("/resets", **{name: None}))
    assert left == {"dateRange": "7d", **{key: value for key, value in state.items() if key != name}}


@given(STATES)
def test_the_api_takes_what_every_view_asks(state: dict[str, str]) -> None:
    asked = Asked.of({name: value for name, value in state.items() if name != "aggInterval"}, NOW)
    for view in VIEWS.values():
        for question in view.questions:
            if question.path in ENDPOINTS:
                read = question_of(ENDPOINTS[question.path], question.query(asked), NOW)
                assert all(series.filters == read.series[0].filters for series in read.series)


def windows(query: Query) -> list[tuple[int, int]]:
    return [
        (each.window.start, each.window.end) for each in question_of(ENDPOINTS["summary"], query, NOW).series
    ]


@pytest.mark.parametrize("state", [
    {"dateRange": "7d"}, {"dateRange": "1d"}, {"dateRange": "14d"}, {"dateRange": "12w"},
    {"dateStart": "2026-05-01T00:00", "dateEnd": "2026-05-01T12:00"},
    {"dateStart": "2026-04-01T00:00:00Z", "dateEnd": "2026-05-01T00:00:00Z"},
    {"dateStart": "2026-04-01", "dateEnd": "2026-04-02T00:00Z"},
    {"dateStart": "2026-04-01T00:00:00+02:00", "dateEnd": "2026-04-02T00:00:00-05:00"},
])  # fmt: skip
def test_the_control_window_is_as_long_whole_weeks_before_and_does_not_overlap(state: dict[str, str]) -> None:
    asked = Asked.of(state, NOW)
    (start, end), (before, until) = windows(asked.both)
    if "dateRange" in state:
        assert end == NOW - NOW % 900, "up to the quarter of an hour that is over"
    assert (start, end) == windows(asked.api)[0]
    assert (before, until) == windows(asked.control)[0]
    assert end - start == until - before
    assert (start - before) % (7 * 86_400) == 0
    assert until <= start < until + 7 * 86_400


@pytest.mark.parametrize(("start", "end"), [
    ("yesterday", "today"), ("2026-04-01T00:00", ""), ("0001-01-01T00:00", "0001-01-02T00:00"),
    ("2026-04-02T00:00", "2026-04-01T00:00"),
])  # fmt: skip
def test_the_api_is_left_to_say_what_is_wrong_with_a_window(start: str, end: str) -> None:
    asked = Asked.of({"dateStart": start, "dateEnd": end})
    with pytest.raises(InvalidError):
        windows(asked.api)
    with pytest.raises(InvalidError):
        windows(asked.both)


class Searching:
    """Stands in for the API: knows two names."""

    async def get(self, path: str, query: Query) -> Told:
        known = {"germany": ("DE", "Germany"), "example mobile": ("64497", "Example Mobile")}
        match = known.get(dict(query)["query"].lower())
        rows: list[dict[str, Any]] = (
            [] if match is None else [{"code": match[0], "name": match[1], "type": "x"}]
        )
        return cast(Told, type("Found", (), {"good": True, "result": {"search": rows}}))


@pytest.mark.parametrize(("typed", "codes", "missing"), [
    ({"location": "Germany"}, {"location": "DE"}, 0),
    ({"location": "-germany, FR"}, {"location": "-DE,FR"}, 0),
    ({"asn": "AS64496"}, {"asn": "64496"}, 0),
    ({"asn": "-as 64496,Example Mobile"}, {"asn": "-64496,64497"}, 0),
    ({"location": "Atlantis"}, {"location": ""}, 1),
    ({"location": ",Germany,Atlantis"}, {"location": "DE"}, 1),
    ({"sensor": "Germany"}, {"sensor": "Germany"}, 0),
])  # fmt: skip
def test_typed_names_become_codes(typed: dict[str, str], codes: dict[str, str], missing: int) -> None:
    state, faults = asyncio.run(found(typed, cast(Asking, Searching())))
    assert state == codes
    assert len(faults) == missing
    assert all("Atlantis" in each for each in faults)


def test_the_same_as_an_api_call_quotes_what_is_in_it() -> None:
    class Here:
        def url(self, path: str, query: Query = ()) -> str:
            return f"http://127.0.0.1:8787/client/v4{path}?{'&'.join('='.join(pair) for pair in query)}"

    asked = Asked.of({"sensor": "it's; rm -rf $HOME"})
    told = calls(cast(Asking, Here()), VIEWS["stages"], asked)
    words = shlex.split(told["curl"].splitlines()[0])
    assert words[:2] == ["curl", "-H"]
    assert "it's; rm -rf $HOME" in words[3]
    compile(told["python"], "call", "exec")
