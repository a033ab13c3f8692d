"""`halfopen signatures`, `halfopen places`, and the command as such."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from mmdb_writer import MMDBWriter
from netaddr import IPSet

import halfopen as library
from halfopen.connections.rules import RULES_VERSION, SIGNATURES, TAGS
from tests.cli.conftest import Ran, command, run_without_reader, spawned

Run = Callable[..., Ran]


def test_the_rules_are_printed_whole(halfopen: Run) -> None:
    table = halfopen("signatures").out
    rules = json.loads(halfopen("signatures", "--json").out)
    assert rules["rules_version"] == RULES_VERSION
    assert [rule["id"] for rule in rules["signatures"]] == [rule.id for rule in SIGNATURES]
    for rule in SIGNATURES:
        assert rule.words in table
        assert rule.id in table
    for tag, words in TAGS.items():
        assert tag.name in table
        assert words in table
    assert [stage["id"] for stage in rules["stages"]] == [
        "post_syn", "post_ack", "post_psh", "later_in_flow", "no_match",
    ]  # fmt: skip


@pytest.fixture(scope="session")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("places")
    writer = MMDBWriter(6, database_type="Test-ASN", ipv4_compatible=True)
    record = {"autonomous_system_number": 64496, "autonomous_system_organization": "Example Net"}
    country = {"country": {"iso_code": "DE"}, "continent": {"code": "EU"}}
    writer.insert_network(IPSet(["192.0.2.0/24"]), record | country)
    writer.to_db_file(str(directory / "test.mmdb"))
    return directory


def test_places_are_described_and_asked(halfopen: Run, places: Path) -> None:
    info = halfopen("places", "info", places)
    assert "test.mmdb" in info.out
    assert "asn, location, continent" in info.out
    known = halfopen("places", "lookup", "192.0.2.1", "--places", places).out
    assert known.split() == ["Network", "AS64496", "Example", "Net", "Country", "DE", "Continent", "EU"]
    unknown = halfopen("places", "lookup", "2001:db8::1", "--places", places).out
    assert unknown.split() == ["Network", "unknown", "Country", "unknown", "Continent", "unknown"]


def test_places_show_in_the_table_and_in_the_rows(halfopen: Run, captures: Path, places: Path) -> None:
    table = halfopen("classify", captures, "--places", places).out
    assert "AS64496 Example Net" in table
    assert "test.mmdb" in table
    rows = library.classify(captures, places=[places]).to_pylist()
    assert {(row["asn"], row["location"], row["continent"]) for row in rows} == {(64496, "DE", "EU")}
    summary = json.loads(
        halfopen("classify", captures, "--summary", "--format", "ndjson", "--places", places).out
    )
    assert summary["networks"] == [
        {"asn": 64496, "name": "Example Net", "location": "DE", "connections": 18, "cut": 18}
    ]


@pytest.mark.parametrize(
    ("argv", "code", "named"),
    [
        (["places", "info"], 2, "PATH"),
        (["places", "lookup", "192.0.2.1"], 2, "--places"),
        (["places", "lookup", "here", "--places", "x"], 2, "here"),
        (["places", "info", "/nonexistent.mmdb"], 1, "/nonexistent.mmdb"),
        (["classify", "x.pcap", "--places", "/nonexistent.mmdb"], 1, "/nonexistent.mmdb"),
        (["classify"], 2, "FILE"),
        (["nonsense"], 2, "nonsense"),
        ([], 2, "VERB"),
    ],
)
def test_errors_are_one_line(halfopen: Run, argv: list[str], code: int, named: str) -> None:
    ran = halfopen(*argv)
    assert ran.code == code
    assert len(ran.err.splitlines()) == 1
    assert ran.err.startswith("halfopen: ")
    assert named in ran.err


def test_the_command_tells_its_version() -> None:
    ran = spawned("--version")
    assert (ran.code, ran.out) == (0, f"halfopen {library.__version__}\n")


def test_a_reader_that_has_left_ends_any_verb_quietly(captures: Path, places: Path, tmp_path: Path) -> None:
    data = ("--data", str(tmp_path))
    one = str(captures / "one.pcap")
    for argv in (
        ["signatures"],
        ["explain", one, "192.0.2.10:40000"],
        ["places", "info", str(places)],
        ["places", "lookup", "192.0.2.1", "--places", str(places)],
        ["ingest", one, *data],
        ["store", "info", *data],
        ["token", "create", "--permission", "radar:read", *data],
        ["token", "list", *data],
    ):
        assert run_without_reader(command(*argv)) == (141, ""), argv


@pytest.mark.parametrize(
    "argv",
    [
        ["--help"],
        ["classify", "--help"],
        ["explain", "--help"],
        ["places", "info", "--help"],
        ["places", "lookup", "--help"],
    ],
)
def test_help_is_there(halfopen: Run, argv: list[str]) -> None:
    ran = halfopen(*argv)
    assert ran.code == 0
    assert "usage: halfopen" in ran.out
    assert ran.out.split("\n\n")[1][0].isupper()  # a description


def test_heavy_parts_wait_until_they_are_needed() -> None:
    code = "import sys; from halfopen.cli.main import main; main(sys.argv[1:]); print(*sys.modules, file=sys.stderr)"

    def loaded(*argv: str) -> set[str]:
        done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, check=True)
        return set(done.stderr.split())

    assert not loaded("signatures") & {"numba", "pyarrow", "rich", "maxminddb"}


def test_the_command_leaves_pandas_alone(captures: Path, tmp_path: Path) -> None:
    assert find_spec("pandas"), "or this test could not fail"
    code = (
        "import sys; from halfopen.cli.main import main; assert main(sys.argv[1:]) == 0; "
        "assert 'pandas' not in sys.modules; "
        "import pyarrow; assert len(pyarrow.table({'n': [1, 2]}).to_pandas()) == 2"  # afterwards it is there
    )
    argv = [sys.executable, "-c", code, "ingest", str(captures), "--data", str(tmp_path)]
    subprocess.run(argv, capture_output=True, check=True)


def test_a_summary_needs_no_arrow(captures: Path) -> None:
    code = (
        "import sys; from halfopen.cli.main import main; main(sys.argv[1:]); "
        "assert not {'pyarrow', 'rich', 'maxminddb', 'polars', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, "classify", str(captures)], capture_output=True, check=True)
