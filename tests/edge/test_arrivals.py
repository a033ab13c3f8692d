"""Who has connected and not registered: not for long, not too many."""

from __future__ import annotations

import asyncio

import pytest

from halfopen.edge.connectors import arrivals
from halfopen.edge.connectors.arrivals import Arrivals


class Arrival:
    def __init__(self) -> None:
        self.ended: list[str] = []

    def end(self, reason: str) -> None:
        self.ended.append(reason)


def test_of_too_many_the_oldest_goes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(arrivals, "MOST", 3)

    async def scene() -> None:
        waiting = Arrivals()
        came = [Arrival() for _ in range(6)]
        for each in came[:3]:
            waiting.come(each)
        waiting.gone(came[0])  # it has registered
        for each in came[3:]:
            waiting.come(each)
        assert [bool(each.ended) for each in came] == [False, True, True, False, False, False]

    asyncio.run(scene())
    assert len(caplog.records) == 1  # told once, not for each


def test_who_does_not_register_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "ARRIVAL", 0.05)

    async def scene() -> None:
        waiting = Arrivals()
        late, registered = Arrival(), Arrival()
        waiting.come(late)
        waiting.come(registered)
        waiting.gone(registered)
        await asyncio.sleep(0.2)
        assert late.ended == ["not registered in time"]
        assert not registered.ended

    asyncio.run(scene())
