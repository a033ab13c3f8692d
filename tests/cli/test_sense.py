"""`halfopen sense` on the command line: what it refuses, what it survives, and its screen. What it senses: tests/sensor."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from halfopen.cli.live import Screen
from halfopen.model import CONNECTION, FIRST_PACKET, PLACE, Stage
from halfopen.pipeline import Judged
from tests.cli.conftest import Ran, command

Run = Callable[..., Ran]


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["-i", "any", "-i", "lo"], "any, lo"),
        (["-i", "lo", "--nflog", "5"], "--nflog"),
        (["-o", "x"], "--once"),
        (["--once", "1s", "--to", "https://radar.example", "--token-file", "x"], "--to"),
        (["--to", "https://radar.example"], "--token-file"),
        (["--to", "https://radar.example", "--token-file", "x", "--store", "y"], "--store"),
        (["--name", "other"], "--name"),
        (["--sample", "0"], "--sample"),
        (["--print-nft", "--server-port", "443", "--sample", "none"], "--sample"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_opened(
    halfopen: Run, argv: list[str], named: str
) -> None:
    ran = halfopen("sense", *argv)
    assert (ran.code, ran.out) == (2, "")
    assert len(ran.err.splitlines()) == 1
    assert named in ran.err


BEGINNING = """
import os, signal, sys
from halfopen.cli import sense
from halfopen.cli.main import main
from halfopen.errors import UsageError

def opened(args):
    os.kill(os.getpid(), signal.SIGUSR1)
    raise UsageError("it", "began", "and was asked")

sense.Interfaces = opened
sys.exit(main(["sense", "--once", "1s"]))
"""


def test_who_asks_before_it_watches_does_not_end_it() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BEGINNING], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (
        2,
        "halfopen: it: began cannot be used; accepted: and was asked\n",
    )


def test_a_verb_without_standard_output_does_its_work() -> None:
    closed = ["sh", "-c", 'exec "$@" >&-', "sh", *command("signatures")]
    done = subprocess.run(closed, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.fixture
def impatient() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("impatient")
def test_the_screen_is_shown_while_another_thread_counts() -> None:
    screen = Screen("made", 60, None, None)

    def count() -> None:
        for number in range(0, 20_000, 100):
            rows = np.zeros(100, CONNECTION)
            rows["stage"] = Stage.post_syn
            rows["tags"] = number + np.arange(100)  # each a kind of its own
            screen.take(
                Judged("made", rows, np.empty(0, np.uint8), np.zeros(100, PLACE), np.empty(0, FIRST_PACKET))
            )

    thread = threading.Thread(target=count)
    thread.start()
    while thread.is_alive():
        assert screen.text()
    thread.join()
    assert "20,000 of 20,000 connections were cut" in screen.text()
