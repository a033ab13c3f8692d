"""Calls that come while one is running are done together by the next: one commit for all of them."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Told = TypeVar("Told")


class Together(Generic[Asked, Told]):
    """A function of many, called by many threads with some each.

    `work` gets what the calls that wait ask, in the order they came, up to about `most`, and gives an answer for each; what it raises
    is raised to every call of those.
    """

    def __init__(self, work: Callable[[Sequence[Asked]], Sequence[Told]], most: int) -> None:
        self._work = work
        self._most = most
        self._lock = threading.Lock()
        self._running = False
        self._waiting: deque[_Call[Asked, Told]] = deque()

    def __call__(self, asked: Sequence[Asked]) -> list[Told]:
        """The answers to what is `asked`."""
        call: _Call[Asked, Told] = _Call(asked)
        with self._lock:
            self._waiting.append(call)
            runs, self._running = not self._running, True
        if not runs:
            call.woken.wait()
        if not call.done:
            self._run()
        if call.error is not None:
            raise call.error
        return call.told

    def _run(self) -> None:
        """Do what waits, of which the own call is the first; then wake the first of those that came meanwhile to go on."""
        calls: list[_Call[Asked, Told]] = []
        asked: list[Asked] = []
        while self._waiting and len(asked) < self._most:
            calls.append(self._waiting.popleft())
            asked += calls[-1].asked
        try:
            told = list(self._work(asked))
            for call in calls:
                call.told, told = told[: len(call.asked)], told[len(call.asked) :]
        except Exception as error:
            for call in calls:
                call.error = error
        finally:
            for call in calls:
                call.done = True
                call.woken.set()
            with self._lock:
                self._running = bool(self._waiting)
                if self._running:
                    self._waiting[0].woken.set()


class _Call(Generic[Asked, Told]):
    def __init__(self, asked: Sequence[Asked]) -> None:
        self.asked = asked
        self.told: list[Told] = []
        self.error: Exception | None = None
        self.done = False
        self.woken = threading.Event()
