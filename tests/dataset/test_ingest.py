"""What `ingest` takes, refuses and keeps, and that the upkeep of a store changes no answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.dataset
import pytest

from halfopen.privacy import HASH_BYTES
from halfopen.radar.answers import Surroundings, answer
from halfopen.radar.vocabulary import ENDPOINTS
from halfopen.store.store import Store
from tests.cli.conftest import Ran
from tests.dataset import reference
from tests.dataset.conftest import BEGIN, MATRIX, PLACES, Installation, spread_bytes
from tests.dataset.reference import DAY, everything
from tests.places.files import write

Run = Callable[..., Ran]

SPAN = (BEGIN - BEGIN % DAY, BEGIN - BEGIN % DAY + 12 * DAY)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture of twelve hours: nine connections that are decided, and three that are not."""
    path = tmp_path_factory.mktemp("small") / "small.pcap"
    path.write_bytes(spread_bytes(11, 3600))
    return path


def told(data: Path, *pairs: tuple[str, str], path: str = "summary", span: tuple[int, int] = SPAN) -> Any:
    """The first series of an answer from the store in a data directory."""
    window = [("dateStart", _iso(span[0])), ("dateEnd", _iso(span[1]))]
    around = Surroundings((), "", lambda *_: "", str, "")
    with closing(Store(data / "store")) as store:
        made = answer(ENDPOINTS[path], [*window, *pairs], store.dataset.now(), around, span[1] + 400 * DAY)
    assert made.result is not None
    return next(iter(made.result.values()))


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def kept(data: Path) -> list[dict[str, Any]]:
    """The rows of the Parquet files of connections that the table has, by time."""
    log = sorted((data / "store" / "connections" / "_delta_log").glob("*.json"))
    files: dict[str, None] = {}
    for line in "\n".join(entry.read_text() for entry in log).splitlines():
        action = json.loads(line)
        if "add" in action:
            files[action["add"]["path"]] = None
        if "remove" in action:
            files.pop(action["remove"]["path"])
    paths = [str(data / "store" / "connections" / path) for path in files]
    rows = pyarrow.dataset.dataset(paths).to_table().to_pylist()
    return sorted(rows, key=lambda row: row["start_ns"])


def classified(halfopen: Run, *files: Path) -> list[reference.Connection]:
    done = halfopen("classify", *files, "--places", PLACES, "--format", "ndjson")
    return reference.connections(done.out, {str(file): "captures" for file in files}, {})


def info(halfopen: Run, data: Path) -> Any:
    return json.loads(halfopen("store", "info", "--json", "--data", data).out)


def test_the_same_again_has_no_effect(halfopen: Run, small: Path, tmp_path: Path) -> None:
    first = halfopen("ingest", "--data", tmp_path, small)
    before, rows = info(halfopen, tmp_path), kept(tmp_path)
    again = halfopen("ingest", "--data", tmp_path, small)
    renamed = tmp_path / "other name.pcap"
    renamed.write_bytes(small.read_bytes())
    copied = halfopen("ingest", "--data", tmp_path, renamed)
    assert (first.code, again.code, copied.code) == (0, 0, 0)
    assert "9 connections" in first.out
    assert "there already" in again.out
    assert "there already" in copied.out
    assert (info(halfopen, tmp_path), kept(tmp_path)) == (before, rows)


def test_other_options_are_refused_and_replace_replaces(halfopen: Run, small: Path, tmp_path: Path) -> None:
    ingest = ("ingest", "--data", tmp_path, small, "--places", PLACES)
    rows = classified(halfopen, small)
    assert halfopen(*ingest).code == 0
    assert told(tmp_path) == reference.summary(rows, everything, *SPAN)
    fewer = (*ingest, "--server-port", "80", "--sensor", "edge")
    refused = halfopen(*fewer)
    assert refused.code == 1
    assert "with other options (--sensor, --server-port); with --replace it takes" in refused.out
    assert told(tmp_path) == reference.summary(rows, everything, *SPAN)
    replaced = halfopen(*fewer, "--replace")
    assert (replaced.code, replaced.err) == (0, "")
    web = [row for row in rows if row.server_port == 80]
    assert 0 < len(web) < len(rows)
    for token in ("1h", "1d"):
        series = told(tmp_path, ("aggInterval", token), path="timeseries_groups")
        assert series == reference.series(web, everything, *SPAN, token, SPAN[1] + DAY)
    assert told(tmp_path) == reference.summary(web, everything, *SPAN)
    assert told(tmp_path, ("sensor", "captures")) == dict.fromkeys(reference.STAGES, "0")
    assert [row["sensor"] for row in kept(tmp_path)] == ["edge"] * len(web)
    assert [file["rows"] for file in info(halfopen, tmp_path)["files"]] == [len(web)]


def test_places_are_known_by_their_content(halfopen: Run, small: Path, tmp_path: Path) -> None:
    def ingest(*places: Path) -> str:
        given = [word for place in places for word in ("--places", place)]
        return halfopen("ingest", "--data", tmp_path / "data", small, *given).out

    (demo,) = PLACES.glob("*.mmdb")
    files = tmp_path / "files"
    files.mkdir()
    moved = files / "other name.mmdb"
    moved.write_bytes(demo.read_bytes())
    assert "9 connections" in ingest(PLACES)
    assert "there already" in ingest(demo)
    assert "there already" in ingest(files)
    assert "other options (--places)" in ingest()
    assert "other options" in ingest(files, PLACES)
    moved.unlink()
    write(moved, {"192.0.2.0/24": {"country": {"iso_code": "FR"}}})  # its build time is that of the other
    assert "other options" in ingest(files)


def test_what_is_readable_of_a_damaged_capture_is_taken(halfopen: Run, small: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(small.read_bytes()[:-300])
    done = halfopen("ingest", "--data", tmp_path, cut, "--places", PLACES)
    rows = classified(halfopen, cut)
    assert done.code == 0
    assert rows
    assert f"cut.pcap: {len(rows)} connections" in done.out
    assert "cut.pcap" in done.err
    assert told(tmp_path) == reference.summary(rows, everything, *SPAN)


def test_bad_input_stops_no_other(halfopen: Run, small: Path, tmp_path: Path) -> None:
    missing, noise = tmp_path / "missing.pcap", tmp_path / "noise.pcap"
    noise.write_bytes(b"no capture at all")
    done = halfopen("ingest", "--data", tmp_path, missing, noise, small)
    assert done.code == 0
    assert f"{missing}: no such file" in done.err
    assert str(noise) in done.err
    assert re.search(
        r"small\.pcap: 9 connections, 20\d\d-\d\d-\d\dT[\d:]{8}Z to 20\d\d-\d\d-\d\dT[\d:]{8}Z\n", done.out
    )
    assert len(info(halfopen, tmp_path)["files"]) == 1
    assert len(kept(tmp_path)) == 9


def test_where_nothing_is_readable(halfopen: Run, tmp_path: Path) -> None:
    done = halfopen("ingest", "--data", tmp_path, tmp_path / "missing.pcap")
    assert done.code == 1
    assert "missing.pcap: no such file" in done.err
    assert "nothing was readable" in done.err


@pytest.mark.parametrize(
    "argv",
    [
        ("-",),
        ("--joined", "a.pcap", "-"),
        *(("a.pcap", f"--sensor={name}") for name in ("meta", "a,b", "-dash", "a b", "", "a\n", "x" * 64)),
    ],
)
def test_what_cannot_be_ingested(halfopen: Run, tmp_path: Path, argv: tuple[str, ...]) -> None:
    done = halfopen("ingest", "--data", tmp_path, *argv)
    assert done.code == 2
    assert done.err.startswith("halfopen: ")


def clients(rows: list[dict[str, Any]]) -> set[str | None]:
    return {row["client"] for row in rows}


def names(rows: list[dict[str, Any]]) -> set[str | None]:
    return {row["trigger"] for row in rows if row["trigger_kind"]}


@pytest.fixture
def keeping(halfopen: Run, tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """Ingest two captures with options, and give the rows."""
    files = [MATRIX / "ipv6_mirrored.pcap", MATRIX / "mixed_shares.pcap", MATRIX / "quarter_hour.pcap"]

    def ingest(*options: str) -> list[dict[str, Any]]:
        done = halfopen("ingest", "--data", tmp_path, *files, "--places", PLACES, "--replace", *options)
        assert done.code == 0, done.err
        rows = kept(tmp_path)
        assert len(rows) == 7
        # Places were looked up before anything was taken away.
        assert {row["asn"] for row in rows} == {64496}
        return rows

    return ingest


def test_what_is_kept_of_clients_and_names(
    keeping: Callable[..., list[dict[str, Any]]], halfopen: Run
) -> None:
    usual = keeping()
    assert clients(usual) == {"192.0.2.0", "2001:db8:1::"}
    assert names(usual) == {"first.example", "stages.example", "silence.example", "www.example"}
    full = keeping("--keep-clients", "full", "--keep-names", "full")
    lines = halfopen(
        "classify", MATRIX / "ipv6_mirrored.pcap", MATRIX / "mixed_shares.pcap", MATRIX / "quarter_hour.pcap",
        "--format", "ndjson",
    ).out.splitlines()  # fmt: skip
    truth = [json.loads(line) for line in lines]
    assert clients(full) == {row["client"] for row in truth}
    assert names(full) == {row["trigger"]["name"] for row in truth if row["trigger"]["kind"]}
    hashed = keeping("--keep-clients", "hash", "--keep-names", "hash")
    assert len(clients(hashed)) == len(clients(full))
    assert len(names(hashed)) == len(names(full))
    for text in clients(hashed) | names(hashed):
        assert text is not None
        assert len(bytes.fromhex(text)) == HASH_BYTES
    nothing = keeping("--keep-clients", "none", "--keep-names", "none")
    assert clients(nothing) == names(nothing) == {None}


def test_only_the_registrable_domain_is_kept(halfopen: Run, small: Path, tmp_path: Path) -> None:
    halfopen("ingest", "--data", tmp_path, small)
    found = names(kept(tmp_path))
    assert found
    assert all(name in {f"shop{number}.example" for number in range(3)} for name in found)


def test_upkeep_changes_no_answer(installation: Installation, halfopen: Run) -> None:
    questions: list[tuple[str, tuple[str, str]]] = [
        ("summary", ("dateRange", "7d")),
        ("summary", ("location", "US,DE")),
        ("summary/signature", ("dateRange", "52w")),
        ("timeseries_groups", ("dateRange", "7d")),
        ("timeseries_groups", ("dateRange", "52w")),
    ]

    def answers() -> list[Any]:
        results = [installation.get(path, pair) for path, pair in questions]
        for result in results:
            result.pop("meta")
        return results

    installation.closed()  # not while a bucket closes
    before, facts = answers(), info(halfopen, installation.data)
    assert {file["sensor"] for file in facts["files"]} == {"captures", "edge", "matrix"}
    assert sum(file["rows"] for file in facts["files"]) == len(installation.connections)
    assert facts["tables"][0]["rows"] == len(installation.connections)
    for deed in ("compact", "prune"):
        done = halfopen("store", deed, "--data", installation.data)
        assert (done.code, done.err) == (0, "")
        assert answers() == before
    after = info(halfopen, installation.data)
    assert after["files"] == facts["files"]
    assert after["tables"][0]["rows"] == len(installation.connections)
    assert after["tables"][1]["files"] <= facts["tables"][1]["files"]
