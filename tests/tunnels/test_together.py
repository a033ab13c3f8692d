"""Calls done together: each gets its own answer, whoever does the work."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from halfopen.tunnels.together import Together


def test_each_call_gets_its_own_answers_and_many_share_one_run() -> None:
    runs: list[int] = []

    def work(asked: Sequence[int]) -> Sequence[int]:
        runs.append(len(asked))
        time.sleep(0.01)
        return [each * each for each in asked]

    together = Together(work, 50)
    asked = [list(range(first, first + first % 4)) for first in range(100)]
    with ThreadPoolExecutor(20) as threads:
        told = list(threads.map(together, asked))
    assert told == [[each * each for each in some] for some in asked]
    assert sum(runs) == sum(map(len, asked))
    assert max(runs) > 4
    assert max(runs) < 54  # at most 50, and the rest of the call that passes them


def test_what_the_work_raises_is_raised_to_those_it_was_for_and_nobody_else() -> None:
    first_is_in, go_on = threading.Event(), threading.Event()

    def work(asked: Sequence[str]) -> Sequence[str]:
        first_is_in.set()
        go_on.wait(10)
        if "bad" in asked:
            raise ValueError("bad")
        return asked

    together = Together(work, 1)
    with ThreadPoolExecutor(4) as threads:
        good = threads.submit(together, ["good"])
        first_is_in.wait(10)
        bad = threads.submit(together, ["bad"])
        other = threads.submit(together, ["other"])
        go_on.set()
        assert good.result(10) == ["good"]
        assert other.result(10) == ["other"]
        with pytest.raises(ValueError, match="bad"):
            bad.result(10)
