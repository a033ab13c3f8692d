"""The routes of ``/radar/tcp_resets_timeouts``: parameters as the document says them, answers kept by their key."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

from halfopen.accounts.permissions import RADAR
from halfopen.api.envelope import success
from halfopen.api.errors import RADAR as RADAR_SERVICE
from halfopen.api.errors import Answer
from halfopen.api.parameters import Parameter
from halfopen.api.routes import Call, Route
from halfopen.errors import InvalidError, Rejected
from halfopen.radar.answers import Surroundings, cache_key, reply
from halfopen.radar.kept import Kept
from halfopen.radar.parameters import Question, question_of
from halfopen.radar.shapes import result_of
from halfopen.radar.vocabulary import (
    ENDPOINTS,
    MOST_NAME,
    MOST_SERIES,
    Endpoint,
    Form,
    filter_parameters,
    window_parameters,
)
from halfopen.radar.windows import INTERVALS
from halfopen.store.query import Dataset, Dimension, Snapshot

PATH: Final = "/radar/tcp_resets_timeouts"

_MOST_KEPT: Final = 64 << 20
"""Bytes of answers kept; the ones asked for longest ago go first."""

CSV: Final = "text/csv; charset=utf-8"

_OF_EACH_SERIES: Final = (
    Parameter(
        "name", "Name of each series in the answer; no two have the same.",
        f"a name of at most {MOST_NAME} printable characters", repeated=True, most=MOST_SERIES,
        pattern=f"^([!-~]([ -~]{{0,{MOST_NAME - 2}}}[!-~])?)?$", checked=False,
    ),
    *window_parameters(each_series=True),
    *filter_parameters(each_series=True),
)  # fmt: skip
FORMAT: Final = Parameter(
    "format", "Form of the answer.", "JSON or CSV", values=("JSON", "CSV"), any_case=True
)
_NORMALIZATION: Final = Parameter(
    "normalization", "What the numbers are.", "PERCENTAGE or RAW_VALUES",
    values=("PERCENTAGE", "RAW_VALUES"), any_case=True,
)  # fmt: skip
_TOKENS: Final = tuple(interval.token for interval in INTERVALS)
_INTERVAL: Final = Parameter(
    "aggInterval", "Length of a bucket.", f"one of {', '.join(_TOKENS)}", values=_TOKENS, any_case=True
)  # fmt: skip
_PER_GROUP: Final = Parameter(
    "limitPerGroup", "Groups shown; the others are added up.", "a number from 1 to 100", "integer", least=1, most=100
)  # fmt: skip
_LIMIT: Final = Parameter("limit", "Rows shown.", "a number from 1 to 100", "integer", least=1, most=100)


def radar_routes(
    dataset: Dataset,
    surroundings: Callable[[str], Surroundings],
    clock: Callable[[], float] = time.time,
) -> Iterator[Route]:
    """Every answer about the dataset. `surroundings` are made for the URL at which a client found the server."""
    kept = Kept(dataset, _MOST_KEPT)
    for path, endpoint in ENDPOINTS.items():
        yield Route(
            "GET",
            f"{PATH}/{path}",
            partial(_answer, endpoint, surroundings, clock, kept),
            _summary(endpoint),
            result_of(endpoint),
            RADAR,
            service=RADAR_SERVICE,
            parameters=_parameters(endpoint),
            check=partial(_rejected, endpoint, clock),
            tags=("Radar TCP Resets and Timeouts",),
            content_types=("application/json", CSV.partition(";")[0]),
        )


def _parameters(endpoint: Endpoint) -> tuple[Parameter, ...]:
    own: tuple[Parameter, ...] = ()
    if endpoint.form is Form.timeseries_groups:
        own += (_INTERVAL,)
    if endpoint.form is Form.top:
        own += (_LIMIT,)
    elif endpoint.by is not Dimension.stage:
        own += (_PER_GROUP,)
    return (*_OF_EACH_SERIES, FORMAT, _NORMALIZATION, *own)


def _summary(endpoint: Endpoint) -> str:
    match endpoint.form:
        case Form.summary:
            return f"Shares of connections by {endpoint.by.value}"
        case Form.timeseries_groups:
            return f"Shares of connections by {endpoint.by.value}, over time"
        case Form.top:
            return f"Where most connections come from, by {endpoint.by.value}"


def _question(endpoint: Endpoint, call: Call, clock: Callable[[], float]) -> Question:
    pairs = ((name, value) for name, values in call.query.items() for value in values)
    return question_of(endpoint, pairs, int(clock()))


def _rejected(endpoint: Endpoint, clock: Callable[[], float], call: Call) -> Sequence[Rejected]:
    try:
        _question(endpoint, call, clock)
    except InvalidError as error:
        return error.rejected
    return ()


def _answer(
    endpoint: Endpoint,
    surroundings: Callable[[str], Surroundings],
    clock: Callable[[], float],
    kept: Kept,
    call: Call,
) -> Answer:
    question = _question(endpoint, call, clock)
    around = surroundings(call.base_url)

    def made(still: Snapshot) -> Answer:
        found = reply(question, still, around)
        if found.csv is None:
            return Answer(success(found.result))
        return Answer(found.csv.encode(), content_type=CSV)

    return kept.answer(lambda still: cache_key(question, still.state(), around), made)
