"""What leaves the host: rows that a server takes, and of clients and names no more than was asked for."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest

from halfopen.capture.source import open_captures
from halfopen.cli import options
from halfopen.connections.limits import Limits
from halfopen.errors import UsageError
from halfopen.pipeline import Judge, Judged
from halfopen.privacy import Privacy
from halfopen.sensor.batch_file import stream_of
from halfopen.sensor.outgoing import outgoing
from halfopen.server.stream import rows_of
from halfopen.store.schema import INCOMING
from tests.cli.conftest import capture_bytes


def asked(data: Path, *words: str) -> Privacy:
    parser = ArgumentParser()
    options.add_privacy(parser)
    options.add_truncate(parser)
    args = parser.parse_args(words)
    return options.privacy(args, data, args.truncate)


def left(tmp_path: Path, *words: str, rate: float = 1.0) -> Any:
    capture = tmp_path / "one.pcap"
    capture.write_bytes(capture_bytes(1))
    judge = Judge(Limits(), packets=True)
    judged = judge.run(open_captures([str(capture)]), lambda batches: map(Judged.kept, batches))
    rows = outgoing(list(judged), asked(tmp_path, *words), rate)
    assert rows.schema == INCOMING
    return rows


@pytest.mark.parametrize("rate", [1.0, 1 / 16, 1 / 3, 1e-5])
def test_a_server_takes_it(tmp_path: Path, rate: float) -> None:
    rows = left(tmp_path, rate=rate)
    assert rows.num_rows > 5
    assert rows_of(stream_of(rows).to_pybytes(), int(time.time()), rate).equals(rows)


def test_nothing_is_a_table_too(tmp_path: Path) -> None:
    assert outgoing([], Privacy()).equals(INCOMING.empty_table())


@pytest.mark.parametrize(
    ("words", "clients"),
    [
        ((), {"192.0.2.0", "2001:db8::"}),
        (("--truncate", "31,128"), {"192.0.2.10", "192.0.2.12", "192.0.2.14", "2001:db8::7"}),
        (("--truncate", "8,16"), {"192.0.0.0", "2001::"}),
        (("--keep-clients", "none"), set()),
    ],
)
def test_of_addresses_is_left(tmp_path: Path, words: tuple[str, ...], clients: set[str]) -> None:
    rows = left(tmp_path, *words)
    assert set(pc.unique(rows["client"].drop_null()).to_pylist()) <= clients
    assert bool(clients) == (rows["client"].null_count == 0)


def test_hashes_are_under_a_key_that_stays(tmp_path: Path) -> None:
    words = ("--keep-clients", "hash", "--keep-names", "hash")
    once, again = left(tmp_path, *words), left(tmp_path, *words)
    assert once.equals(again)
    assert not {"192.0.2.10", "192.0.2.0"} & set(once["client"].to_pylist())
    key = tmp_path / "hash.key"
    assert key.stat().st_mode & 0o777 == 0o600
    key.unlink()
    assert not set(left(tmp_path, *words)["client"].to_pylist()) & set(once["client"].to_pylist())


@pytest.mark.parametrize("text", ["", "24", "24,48,64", "33,48", "24,129", "-1,48", "24,x", "24,4800"])
def test_prefixes_that_are_none(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="--truncate: "):
        asked(tmp_path, f"--truncate={text}")


def test_truncated_and_not_truncated(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--keep-clients: full cannot be used; accepted: truncated"):
        asked(tmp_path, "--keep-clients", "full", "--truncate", "24,48")
