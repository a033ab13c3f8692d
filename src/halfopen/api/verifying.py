"""What is asked of the accounts while a request waits: in threads of their own, and each question with an end."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final, TypeVar

from anyio import CapacityLimiter, fail_after, to_thread

from halfopen.api.authentication import Verifier
from halfopen.errors import DatabaseError

_THREADS: Final = 8  # apart from those of handlers, which may be slow
_FRESH: Final = 5.0
"""Seconds for which an answer to whoever watches the server is good enough: asking needs no token."""

T = TypeVar("T")


class Verifying:
    """Questions to the accounts, each given up after `patience` seconds."""

    def __init__(self, verifier: Verifier, patience: float) -> None:
        self._verifier, self._patience = verifier, patience
        self._limiter = CapacityLimiter(_THREADS)
        self._checked, self._answers = -_FRESH, True

    async def ask(self, question: Callable[[Verifier], T]) -> T:
        """The answer; DatabaseError where there is none in time."""
        try:
            with fail_after(self._patience):
                # A thread that is left behind ends with its connection, and the pool of these is small.
                return await to_thread.run_sync(
                    question, self._verifier, abandon_on_cancel=True, limiter=self._limiter
                )
        except TimeoutError:
            why = f"no answer within {self._patience:g} s"
            raise DatabaseError("the database of accounts", why) from None

    async def answers(self) -> bool:
        """Whether the accounts answer."""
        if monotonic() - self._checked >= _FRESH:
            self._checked = monotonic()
            try:
                await self.ask(lambda verifier: verifier.check())
            except DatabaseError:
                self._answers = False
            else:
                self._answers = True
        return self._answers
