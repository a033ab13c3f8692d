"""Processes that commit to one store in turns: nothing lost, nothing doubled, whoever dies or hangs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from halfopen.errors import LeaseError
from halfopen.store.query import Dimension, Filters
from halfopen.store.store import Store
from tests.house.project import ROOT
from tests.store.rows import BEGIN, SPAN, counted
from tests.store.turns import deliver, rows

ALL = Filters(), BEGIN, BEGIN + SPAN

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(where: str) -> Iterator[Start]:
    """Starts processes of `tests.store.turns` on the store."""
    started = []

    def one(work: str, name: str, count: int) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.store.turns", where, work, name, str(count)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip
        started.append(process)
        return process

    yield one
    for process in started:
        process.kill()
        process.communicate()


def heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")


def agree(store: Store, **numbers: int) -> None:
    """The store holds the rows 1 to the last number of each name, each once."""
    truth = [(name, each) for name, last in numbers.items() for n in range(1, last + 1) for each in rows(n)]
    store.committer().follow()
    found = store.dataset.connections(*ALL, limit=10_000)
    pairs = zip(found["sensor"].to_pylist(), found["start_ns"].to_pylist(), strict=True)
    assert sorted(pairs) == sorted((name, each["start_ns"]) for name, each in truth)
    for step in (900, 86400):
        for by in (Dimension.sensor, Dimension.stage):
            assert sorted(store.dataset.now().counts(*ALL, step, by)) == counted(truth, *ALL, step, by)


def test_all_kinds_of_work_at_once(store: Store, start: Start) -> None:
    processes = [
        start("deliver", "lyon", 6),
        start("deliver", "oslo", 6),
        start("ingest", "lab", 4),
        start("ingest", "lab", 4),  # the same files
        start("compact", "", 3),
    ]
    for process in processes:
        said, _ = process.communicate(timeout=120)
        assert process.returncode == 0, said
        if process in processes[:2]:
            assert [line for line in said.splitlines() if "waits" not in line] == [
                f"{number} True" for number in range(1, 7)
            ]
    agree(store, lyon=6, oslo=6, lab=4)
    assert len(store.info().files) == 4
    assert {(each.name, each.seen > 0) for each in store.info().sensors} == {("lyon", True), ("oslo", True)}


def test_whoever_dies_in_its_turn_does_not_keep_others_out(store: Store, start: Start) -> None:
    holder = start("hold", "lyon", 2)
    assert heard(holder) == "holds"
    tell(holder)
    assert heard(holder) == "1 True"
    holder.kill()
    deliver(store.committer(), "oslo", 1)
    agree(store, lyon=1, oslo=1)


def test_a_turn_in_an_object_store_is_lost_by_who_hangs(store: Store, start: Start) -> None:
    holder = start("hold", "lyon", 2)
    assert heard(holder) == "holds"
    tell(holder)
    assert heard(holder) == "1 True"
    os.kill(holder.pid, signal.SIGSTOP)
    other = store.committer(patience=2 if store.place.local else 60)
    if store.place.local:
        with pytest.raises(LeaseError, match=f"process {holder.pid} on .* end it if it is stopped"):
            deliver(other, "oslo", 1)
    else:
        deliver(other, "oslo", 1)
        other.ingest("lab 1", "lab", "", [])
    os.kill(holder.pid, signal.SIGCONT)
    tell(holder)
    if store.place.local:
        assert heard(holder) == "2 True"
        agree(store, lyon=2)
    else:
        assert "stood still for too long" in heard(holder)
        agree(store, lyon=1, oslo=1)
        deliver(other, "lyon", 2)  # as the sensor would send it again
        agree(store, lyon=2, oslo=1)
    assert holder.wait(20) == 0
