"""The library call and the Arrow table."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from ipaddress import IPv6Address
from pathlib import Path
from socket import AF_INET6, inet_ntop
from typing import Any

import polars
import pyarrow as pa
import pytest
from hypothesis import given

import halfopen
from halfopen.arrow import SCHEMA, record_batch
from halfopen.connections.rules import RULES_VERSION, signature_id, tag_names
from halfopen.errors import CaptureError, UsageError
from halfopen.model import NO_TIME, UNKNOWN_DELTA, LeftOut, Relation, Stage, TriggerKind
from halfopen.pipeline import Judged
from tests.cli.conftest import capture_bytes, run_without_reader
from tests.cli.rows import judged


def address(high: int, low: int) -> str:
    whole = IPv6Address(int(high) << 64 | int(low))
    return str(whole.ipv4_mapped or inet_ntop(AF_INET6, whole.packed))


def known(value: int, unknown: int) -> int | None:
    return None if value == unknown else value


def expected(batch: Judged) -> list[dict[str, Any]]:
    """The rows, one by one, in the plainest way."""
    rows = []
    for row, place in zip(batch.rows, batch.places, strict=True):
        at, trigger = row["name_offset"], TriggerKind(row["trigger"])
        name = batch.names[at : at + row["name_length"]].tobytes().decode("utf-8", "backslashreplace")
        relation, left_out = Relation(row["relation"]), LeftOut(row["left_out"])
        rows.append(
            {
                "file": batch.file,
                "client": address(row["client_hi"], row["client_lo"]),
                "client_port": row["client_port"],
                "server": address(row["server_hi"], row["server_lo"]),
                "server_port": row["server_port"],
                "start": row["start"],
                "end": row["end"],
                "packets": row["packets"],
                "stage": (Stage.undecided if left_out else Stage(row["stage"])).name,
                "signature": signature_id(row["signature"]),
                "rules_version": RULES_VERSION,
                "tags": tag_names(int(row["tags"])),
                "evidence": {
                    "ttl_delta": known(row["ttl_delta"], UNKNOWN_DELTA),
                    "ip_id_delta": known(row["ip_id_delta"], UNKNOWN_DELTA),
                    "seq_relation": relation.name if relation else None,
                    "seq_delta": known(row["seq_delta"], UNKNOWN_DELTA),
                    "resets": row["resets"],
                    "reset_acks": row["reset_acks"],
                    "reset_echoes": row["reset_echoes"],
                    "gap": None if row["gap"] == NO_TIME else row["gap"] / 1e9,
                    "data_after_reset": row["data_after_reset"],
                    "duplicates": row["duplicates"],
                    "left_out": left_out.name if left_out else None,
                },
                "trigger": {
                    "kind": trigger.name if trigger else None,
                    "name": name if trigger else None,
                    "port": row["server_port"],
                },
                "asn": known(place["asn"], 0),
                "location": place["location"].decode() or None,
                "continent": place["continent"].decode() or None,
            }
        )
    return rows


@given(judged())
def test_columns_in_bulk_are_the_rows_one_by_one(batch: Judged) -> None:
    made = record_batch(batch)
    made.validate(full=True)
    assert made.schema == SCHEMA
    times = {name: made[name].cast(pa.int64()).to_pylist() for name in ("start", "end")}
    plain = made.drop_columns(["start", "end"]).to_pylist()
    got = [row | {name: times[name][index] for name in times} for index, row in enumerate(plain)]
    assert got == expected(batch)


@given(judged())
def test_rows_may_be_used_again_once_they_are_columns(batch: Judged) -> None:
    made = record_batch(batch)
    before = made.drop_columns(["start", "end"]).to_pylist()
    batch.rows[:] = 0
    batch.places[:] = 0
    assert made.drop_columns(["start", "end"]).to_pylist() == before


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "one.pcap"
    path.write_bytes(capture_bytes(0))
    return path


def test_a_capture_becomes_a_table(capture: Path) -> None:
    table = halfopen.classify(capture)
    assert table.schema.equals(SCHEMA)
    assert table.num_rows == 6
    assert set(table["stage"].to_pylist()) == {"post_ack", "post_psh"}
    assert table["file"].unique().to_pylist() == [str(capture)]


def test_what_was_left_out_is_told_beside_the_table(capture: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(capture_bytes(3)[:-10])
    about = json.loads(halfopen.classify([capture, cut]).schema.metadata[b"halfopen"])
    assert about["captures"] == 2
    assert about["counters"]["undecided"] == 1
    assert [problem.split(":")[0] for problem in about["problems"]] == [str(cut)]


def test_all_adds_connections_without_a_stage(capture: Path) -> None:
    table = halfopen.classify([str(capture)], all=True)
    rows = [row for row in table.to_pylist() if row["stage"] == "undecided"]
    assert [row["client"] for row in rows] == ["2001:db8::7"]
    assert rows[0]["evidence"]["left_out"] == "undecided"


def test_servers_can_be_named(capture: Path) -> None:
    assert halfopen.classify([capture], server_ports=[443]).num_rows == 6
    assert halfopen.classify([capture], server_ports=443).num_rows == 6
    assert halfopen.classify([capture], server_ports=[80]).num_rows == 0
    assert halfopen.classify([capture], server_nets=["203.0.113.0/24"]).num_rows == 6
    assert halfopen.classify([capture], server_nets="203.0.113.0/24").num_rows == 6
    assert halfopen.classify([capture], server_nets=["198.51.100.0/24"]).num_rows == 0


def test_joined_captures_are_one(tmp_path: Path) -> None:
    for number in range(2):
        (tmp_path / f"{number}.pcap").write_bytes(capture_bytes(number))
    about = json.loads(halfopen.classify(tmp_path, joined=True).schema.metadata[b"halfopen"])
    assert about["captures"] == 1
    # The silence of the first file's last SYN goes on in the second.
    assert (about["counters"]["decided"], about["counters"]["undecided"]) == (13, 1)


def test_the_table_goes_to_pandas_and_polars(capture: Path) -> None:
    table = halfopen.classify(capture)
    assert len(table.to_pandas()) == 6
    assert {"evidence.ttl_delta", "trigger.name"} <= set(table.flatten().to_pandas().columns)
    frame = polars.from_arrow(table)
    assert isinstance(frame, polars.DataFrame)
    assert frame.filter(polars.col("stage") == "post_psh").height == 3


def test_parameters_that_cannot_be_used_are_named(capture: Path) -> None:
    with pytest.raises(UsageError, match=r"idle_timeout: -1 cannot be used"):
        halfopen.classify(capture, idle_timeout=-1)
    with pytest.raises(UsageError, match=r"server_nets: nowhere cannot be used"):
        halfopen.classify(capture, server_nets=["nowhere"])
    with pytest.raises(UsageError, match=r"paths: an empty list"):
        halfopen.classify([])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("server_ports", [70000]), ("server_ports", 0), ("server_ports", ["443"]), ("server_ports", "443"),
        ("server_ports", None), ("idle_timeout", "10"), ("idle_timeout", float("nan")), ("idle_timeout", None),
        ("jobs", "2"), ("jobs", 0), ("jobs", -1), ("jobs", 1.5), ("server_nets", 5), ("server_nets", [5]),
        ("max_connections", 0), ("max_connections", "many"), ("places", 5), ("places", [None]),
    ],
)  # fmt: skip
def test_values_of_the_wrong_kind_are_usage_errors(capture: Path, name: str, value: object) -> None:
    with pytest.raises(UsageError, match=rf"^{name}: .* cannot be used; accepted: "):
        halfopen.classify(capture, **{name: value})  # type: ignore[arg-type]


def test_paths_of_the_wrong_kind_are_usage_errors() -> None:
    with pytest.raises(UsageError, match=r"^paths: 5 cannot be used"):
        halfopen.classify(5)  # type: ignore[arg-type]


def test_room_can_be_bounded(capture: Path) -> None:
    about = json.loads(halfopen.classify(capture, max_connections=1).schema.metadata[b"halfopen"])
    assert about["counters"]["evicted"] > 0


def test_a_missing_capture_stops_no_other(capture: Path, tmp_path: Path) -> None:
    table = halfopen.classify([tmp_path / "nosuch.pcap", capture])
    assert table.num_rows == 6
    about = json.loads(table.schema.metadata[b"halfopen"])
    assert about["problems"] == [f"{tmp_path}/nosuch.pcap: no such file"]
    with pytest.raises(CaptureError, match="no such file"):
        halfopen.classify(tmp_path / "nosuch.pcap")


def test_nothing_readable_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "words.pcap"
    path.write_text("no capture at all")
    with pytest.raises(CaptureError, match=r"words\.pcap"):
        halfopen.classify(path)


def test_import_is_cheap() -> None:
    loaded = "import halfopen, sys; print([m for m in ('numpy', 'numba', 'pyarrow') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"


def test_the_example_runs_on_captures_of_its_own_and_of_others(capture: Path) -> None:
    example = Path(__file__).parent.parent / "examples" / "how_connections_died.py"
    for argv, first in (([], ""), ([str(capture)], "6 connections, 17 columns")):
        done = subprocess.run(
            [sys.executable, "-W", "error", str(example), *argv], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(first)
        assert "post_psh" in done.stdout


def test_the_example_ends_without_a_word_where_its_reader_leaves() -> None:
    example = Path(__file__).parent.parent / "examples" / "how_connections_died.py"
    assert run_without_reader([sys.executable, str(example)]) == (-signal.SIGPIPE, "")
