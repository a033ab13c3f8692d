"""The formats: the same connections in each of them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given

import halfopen as library
from halfopen.arrow import SCHEMA, record_batch
from halfopen.cli.formats import WRITERS
from halfopen.model import CONNECTION, FIRST_PACKET, PLACE
from halfopen.pipeline import Judged
from tests.cli.conftest import Ran
from tests.cli.rows import judged

FIELDS = [
    "file", "client", "client_port", "server", "server_port", "start", "end", "packets", "stage", "signature",
    "rules_version", "tags", "evidence", "trigger", "asn", "location", "continent",
]  # fmt: skip


def written(form: str, *batches: Judged) -> bytes:
    stream = io.BytesIO()
    writer = WRITERS[form](stream)
    for batch in batches:
        writer.write(writer.encode(record_batch(batch)))
    writer.close({"counters": {}})
    return stream.getvalue()


def instant(column: Any) -> list[str]:
    """Times as text, one by one."""
    return [f"{time // 10**9}.{time % 10**9:09}" for time in column.cast(pa.int64()).to_pylist()]


def read_instant(text: str) -> str:
    whole, fraction = text.removesuffix("Z").split(".")
    return f"{int(datetime.fromisoformat(whole + '+00:00').timestamp())}.{fraction}"


@given(judged(), judged())
def test_every_line_of_ndjson_is_one_connection(first: Judged, second: Judged) -> None:
    lines = written("ndjson", first, second).decode().splitlines(keepends=True)
    table = pa.Table.from_batches([record_batch(first), record_batch(second)])
    got = [json.loads(line) for line in lines]
    assert all(list(row) == FIELDS for row in got)
    times = {name: [read_instant(row.pop(name)) for row in got] for name in ("start", "end")}
    assert times == {name: instant(table[name]) for name in ("start", "end")}
    assert got == table.drop_columns(["start", "end"]).to_pylist()


@given(judged())
def test_csv_has_the_same_values_in_flat_columns(batch: Judged) -> None:
    rows = list(csv.DictReader(io.StringIO(written("csv", batch).decode(), newline="")))
    for row, whole in zip(
        rows, (json.loads(line) for line in written("ndjson", batch).splitlines()), strict=True
    ):
        flat: dict[str, Any] = {}
        for name, value in whole.items():
            if isinstance(value, dict):
                flat |= {f"{name}_{inner}": each for inner, each in value.items()}
            else:
                flat[name] = " ".join(value) if isinstance(value, list) else value
        assert list(row) == list(flat)
        for name, value in flat.items():
            if isinstance(value, float):
                assert float(row[name]) == value
            else:
                assert row[name] == ("" if value is None else str(value))


class Terminal(io.BytesIO):
    """A stream that is shown to somebody."""

    def isatty(self) -> bool:
        return True


def test_csv_moves_no_cursor() -> None:
    rows, names, places = np.zeros(1, CONNECTION), np.zeros(0, np.uint8), np.zeros(1, PLACE)
    batch = Judged("a\x1b[2J\x9b.pcap", rows, names, places, np.zeros(0, FIRST_PACKET))
    stream = Terminal()
    writer = WRITERS["csv"](stream)
    writer.write(writer.encode(record_batch(batch)))
    assert stream.getvalue().decode().splitlines()[1].startswith(r'"a\x1b[2J\x9b.pcap",')
    assert "\x1b[2J\x9b" in written("csv", batch).decode()


@given(judged(), judged())
def test_parquet_gives_the_table_back(first: Judged, second: Judged) -> None:
    source = io.BytesIO(written("parquet", first, second))
    assert pa.parquet.read_table(source).equals(pa.Table.from_batches(map(record_batch, (first, second))))


def test_parquet_of_no_connection_has_the_columns() -> None:
    assert pa.parquet.read_schema(io.BytesIO(written("parquet"))).equals(SCHEMA)


def test_the_command_and_the_library_agree(
    halfopen: Callable[..., Ran], captures: Path, damaged: Path, tmp_path: Path
) -> None:
    out = tmp_path / "x.parquet"
    ran = halfopen("classify", captures, damaged, "-o", out, "--all")
    assert ran.code == 0
    table = library.classify([captures, damaged], all=True)
    assert pa.parquet.read_table(out).equals(table)
    assert pa.parquet.read_metadata(out).metadata[b"halfopen"] == table.schema.metadata[b"halfopen"]


def test_ndjson_says_what_the_library_says(halfopen: Callable[..., Ran], captures: Path) -> None:
    rows = [
        json.loads(line) for line in halfopen("classify", captures, "--format", "ndjson").out.splitlines()
    ]
    assert [row["client"] for row in rows] == library.classify(captures)["client"].to_pylist()
    assert rows[0]["start"].endswith("Z")
    assert {row["trigger"]["name"] for row in rows} == {None, "www1.example", "www3.example", "www5.example"}


@pytest.mark.parametrize(
    ("name", "begins"),
    [("x.ndjson", b'{"file":'), ("x.jsonl", b'{"file":'), ("x.csv", b"file,client,"), ("x.parquet", b"PAR1"),
     ("x.txt", b"3 captures"), ("x", b"3 captures")],
)  # fmt: skip
def test_the_ending_chooses_the_format(
    halfopen: Callable[..., Ran], captures: Path, tmp_path: Path, name: str, begins: bytes
) -> None:
    assert halfopen("classify", captures, "-o", tmp_path / name).code == 0
    assert (tmp_path / name).read_bytes().startswith(begins)


def test_the_option_wins_over_the_ending(
    halfopen: Callable[..., Ran], captures: Path, tmp_path: Path
) -> None:
    out = tmp_path / "x.csv"
    assert halfopen("classify", captures, "-o", out, "--format", "ndjson").code == 0
    assert out.read_bytes().startswith(b"{")
