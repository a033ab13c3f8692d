"""The server looks after its store by itself, and never at the expense of an answer or of an ingestion."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import closing

import pytest

from halfopen.errors import StoreError
from halfopen.server.door import Door
from halfopen.server.upkeep import RegularUpkeep
from halfopen.store.store import Store
from halfopen.store.upkeep import Upkeep
from tests.server.conftest import COMMITS, DAY, Served

SUMMARY = "/client/v4/radar/tcp_resets_timeouts/summary?dateRange=1d"


def until(true: Callable[[], bool], seconds: float = 20) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.05)
    return False


def of_connections(store: Store) -> tuple[int, int]:
    """Rows and files."""
    facts = store.info().tables[0]
    return facts.rows, facts.files


def test_a_run_puts_together_and_removes_what_is_old(store: Store) -> None:
    assert of_connections(store) == (COMMITS + 1, COMMITS + 1)
    upkeep = RegularUpkeep(Door(store), 30 * DAY, 400 * DAY)
    assert upkeep.once()
    assert of_connections(store) == (COMMITS, 1)
    assert time.time() - upkeep.last < 60
    store.committer(patience=0).follow()  # the lease is free again


def test_put_off_while_somebody_else_commits(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "halfopen.faults")
    upkeep = RegularUpkeep(Door(store, patience=0.1), 30 * DAY, 400 * DAY)
    with store.committer().lock:
        assert not upkeep.once()
    assert "put off" in caplog.text
    assert upkeep.last == 0
    assert of_connections(store) == (COMMITS + 1, COMMITS + 1)
    assert upkeep.once()


def test_a_failure_is_one_line_and_the_next_run_comes(
    store: Store, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Upkeep) -> None:
        raise StoreError("here", "the disk\nis full")

    with monkeypatch.context() as patch:
        patch.setattr(Upkeep, "vacuum", fail)
        upkeep = RegularUpkeep(Door(store), 30 * DAY, 400 * DAY, every=0.01)
        upkeep.start()
        assert until(lambda: upkeep.failures > 1)
    assert until(lambda: upkeep.last > 0)
    upkeep.stop()
    failed = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert failed[0].getMessage() == "upkeep failed: StoreError: here: the disk is full"
    assert failed[0].exc_info is None
    store.committer(patience=0).follow()  # a failed run does not keep the lease


def test_no_step_begins_after_a_stop(store: Store) -> None:
    upkeep = RegularUpkeep(Door(store), 30 * DAY, 400 * DAY, every=3600)
    upkeep.start()
    begun = time.monotonic()
    upkeep.stop()
    assert time.monotonic() - begun < 1
    assert not upkeep.once()
    assert of_connections(store) == (COMMITS + 1, COMMITS + 1)


def test_beside_a_server_that_answers(busy: Served) -> None:
    with closing(Store(busy.store, threads=1)) as store:
        assert until(lambda: of_connections(store) == (COMMITS, 1))
        assert busy.get(SUMMARY).status_code == 200
        assert until(lambda: busy.metrics().get("halfopen_upkeep_timestamp_seconds", 0) > 0)
    busy.process.terminate()
    assert busy.process.wait(10) == 0
    assert "Traceback" not in busy.log.read_text()
