"""Answers about a dataset that are kept by their key (A23), for who asks the same of an unchanged one."""

from __future__ import annotations

from collections.abc import Callable

from halfopen.api.errors import Answer
from halfopen.cache import Cache
from halfopen.store.query import Dataset, Snapshot


class Kept:
    """Up to so many bytes of them; the ones asked for longest ago go first. Safe to share among threads."""

    def __init__(self, dataset: Dataset, most: int) -> None:
        self._dataset = dataset
        self._answers: Cache[str, Answer] = Cache(most, lambda answer: len(answer.body))

    def answer(self, key_of: Callable[[Snapshot], str], make: Callable[[Snapshot], Answer]) -> Answer:
        """The answer that is kept for the key of the dataset as it stands, else the one that is made of it."""

        def found(still: Snapshot) -> Answer:
            key = key_of(still)
            if (known := self._answers.get(key)) is not None:
                return known
            made = make(still)
            self._answers.put(key, made)
            return made

        return self._dataset.still(found)
