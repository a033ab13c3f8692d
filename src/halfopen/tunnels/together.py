"""Calls that come while one is running are done together by the next: one commit for all of them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

Asked = TypeVar("Asked")
Told = TypeVar("Told")


class Together(Generic[Asked, Told]):
    """A function of many, called by many threads with one each.

    `work` gets at most `most` of what is waiting, in the order it came, and gives an answer for each; what it raises is raised to each of
    those it was called for.
    """

    def __init__(self, work: Callable[[Sequence[Asked]], Sequence[Told]], most: int) -> None:
        self._work = work
        self._most: Final = most
        self._running = threading.Lock()
        self._waiting: deque[_Call[Asked, Told]] = deque()

    def __call__(self, asked: Asked) -> Told:
        """The answer to `asked`."""
        call: _Call[Asked, Told] = _Call(asked)
        self._waiting.append(call)
        while not call.done:
            with self._running:
                if not call.done:
                    self._run()
        if call.error is not None:
            raise call.error
        return call.told[0]

    def _run(self) -> None:
        calls = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
        try:
            for call, told in zip(calls, self._work([call.asked for call in calls]), strict=True):
                call.told.append(told)
        except Exception as error:
            for call in calls:
                call.error = error
        finally:
            for call in calls:
                call.done = True


class _Call(Generic[Asked, Told]):
    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.told: list[Told] = []
        self.error: Exception | None = None
        self.done = False
