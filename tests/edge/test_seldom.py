"""What strangers cause is logged, but they do not fill the log."""

from __future__ import annotations

import logging

import pytest

from halfopen.edge import seldom
from halfopen.edge.seldom import Seldom


def test_of_each_kind_a_line_and_how_often(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = 100.0
    monkeypatch.setattr("halfopen.edge.seldom.time.monotonic", lambda: now)
    log = Seldom()
    for _ in range(1_000):
        log.tell(logging.WARNING, "a", "one")
        log.tell(logging.WARNING, "b", "another")
    now += seldom.EVERY
    log.tell(logging.WARNING, "a", "one")
    assert caplog.messages == ["one", "another", "one (999 more since the last such line)"]


def test_many_kinds_take_little(caplog: pytest.LogCaptureFixture) -> None:
    log = Seldom()
    for kind in range(5_000):
        log.tell(logging.DEBUG, str(kind), "x")
    assert len(log._told) == 1_000
