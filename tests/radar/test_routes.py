"""The routes of the dataset: each answer is made of one snapshot, and kept for as long as that is the state."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from halfopen.accounts import Principal, User
from halfopen.api.routes import Call, Route
from halfopen.radar.routes import PATH, radar_routes
from halfopen.store.query import Result, Snapshot
from tests.radar.memory import NOW, Memory, around, crowd

DAY = 86400
ANYBODY = Principal(User("0" * 32, "user@example.com", datetime(2026, 1, 1, tzinfo=UTC)), frozenset())


class Growing:
    """A `halfopen.store.query.Dataset` in which more is counted each time it is looked at."""

    def __init__(self) -> None:
        self.looks: list[Memory] = []

    def still(self, do: Callable[[Snapshot], Result]) -> Result:
        count = 100 * (1 + len(self.looks))
        self.looks.append(Memory(crowd(count, NOW - DAY, NOW - 3600, rates=(1.0,)), version=str(count)))
        return do(self.looks[-1])


def result(dataset: Any, path: str, **query: tuple[str, ...]) -> Any:
    routes: dict[str, Route] = {
        each.path: each for each in radar_routes(dataset, lambda _: around(), lambda: NOW)
    }
    call = Call(ANYBODY, {}, query, {}, b"", "1", "http://127.0.0.1")
    return msgspec.json.decode(routes[f"{PATH}/{path}"].handler(call).body)["result"]


@pytest.mark.parametrize("path", ["summary", "summary/location", "timeseries_groups/asn"])
def test_an_answer_is_made_of_one_look(path: str) -> None:
    dataset = Growing()
    found = result(dataset, path, dateRange=("1d", "1d"), normalization=("RAW_VALUES",), limitPerGroup=("1",))
    first, second = (found[name] for name in list(found)[:2])
    assert first == second
    assert len(dataset.looks) == 1


def test_an_answer_is_kept_until_the_dataset_is_another() -> None:
    memory = Memory(crowd(100, NOW - DAY, NOW - 3600))

    class Same:
        def still(self, do: Callable[[Snapshot], Result]) -> Result:
            return do(memory)

    routes = list(radar_routes(Same(), lambda _: around(), lambda: NOW))
    (summary,) = (each for each in routes if each.path == f"{PATH}/summary")
    call = Call(ANYBODY, {}, {}, {}, b"", "1", "http://127.0.0.1")
    first = summary.handler(call)
    asked = len(memory.asked)
    assert summary.handler(call).body == first.body
    assert len(memory.asked) == asked
    memory.version = "2"
    summary.handler(call)
    assert len(memory.asked) > asked
