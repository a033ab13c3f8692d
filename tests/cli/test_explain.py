"""`halfopen explain`: the story of a connection, and that it ends as `classify` says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfopen.cli.explain import client
from halfopen.connections.rules import Tag
from halfopen.errors import UsageError
from halfopen.model import SECOND, flag_names
from halfopen.testing.conversation import START, Conversation, framed
from halfopen.testing.payloads import client_hello
from halfopen.testing.pcap import pcap
from tests.cli.conftest import SERVER, Ran

Run = Callable[..., Ran]


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    path = tmp_path / "told.pcap"
    told = (
        Conversation(("192.0.2.1", 40000), SERVER)
        .open()
        .data(client_hello("www.example"))
        .wait(3)
        .rst(ttl=99)
    )
    again = (
        Conversation(("192.0.2.1", 40000), SERVER, start=told.now + 60 * SECOND, client_isn=77)
        .syn()
        .server_rst_ack()
    )
    other = Conversation(("2001:db8::1", 40000), ("2001:db8::2", 443)).open()
    middle = Conversation(("192.0.2.9", 40009), SERVER).ack().data(b"x")
    path.write_bytes(pcap(framed(told, again, other, middle)))
    return path


def test_a_story_has_packets_rules_verdict_and_evidence(halfopen: Run, capture: Path) -> None:
    ran = halfopen("explain", capture, "192.0.2.1:40000")
    assert (ran.code, ran.err) == (0, "")
    first, second = ran.out.split("\n\n\n")
    lines = [" ".join(line.split()) for line in first.splitlines()]
    assert lines[0] == f"192.0.2.1:40000 -> 203.0.113.200:443 in {capture}"
    assert any(line.startswith("0.000000 client SYN 0 - 0 64240 57 ") for line in lines)
    assert any(" client PSH+ACK 1 1 " in line for line in lines)
    assert "Verdict post_psh" in lines
    assert "Signature psh_rst the first data, then exactly one RST" in lines
    assert any("ttl_delta +42" in line for line in lines)
    assert "Trigger sni www.example port 443" in lines
    assert "(D5)" in first
    assert "refused" in second


def test_addresses_of_version_6_stand_in_brackets(halfopen: Run, capture: Path) -> None:
    ran = halfopen("explain", capture, "[2001:db8::1]:40000")
    assert ran.out.startswith("[2001:db8::1]:40000 -> [2001:db8::2]:443 in ")


def test_a_client_that_opened_nothing_is_an_error(halfopen: Run, capture: Path) -> None:
    ran = halfopen("explain", capture, "192.0.2.9:40009")
    assert ran.code == 1
    assert "2 packets" in ran.err
    assert halfopen("explain", capture, "192.0.2.77:1").code == 1


@pytest.mark.parametrize(
    "text", ["192.0.2.1", "192.0.2.1:70000", "nowhere:80", "2001:db8::1:80", "[192.0.2.1:80", ":80"]
)
def test_a_client_that_cannot_be_read_is_named(halfopen: Run, capture: Path, text: str) -> None:
    ran = halfopen("explain", capture, text)
    assert ran.code == 2
    assert ran.err.startswith(f"halfopen: CLIENT:PORT: {text} cannot be used; accepted: ")


@given(st.ip_addresses(), st.integers(0, 65535))
def test_every_client_can_be_named(address: object, port: int) -> None:
    text = f"[{address}]:{port}" if ":" in str(address) else f"{address}:{port}"
    assert client(text) == (address, port)


@given(st.text())
def test_any_text_is_a_client_or_a_usage_error(text: str) -> None:
    with suppress(UsageError):
        assert len(client(text)) == 2


def test_flags_are_named_as_in_the_rules() -> None:
    assert [flag_names(flags) for flags in (0, 0x02, 0x12, 0x18, 0x14, 0xC2)] == [
        "none", "SYN", "SYN+ACK", "PSH+ACK", "RST+ACK", "SYN+ECE+CWR",
    ]  # fmt: skip


def agrees(halfopen: Run, row: dict[str, Any]) -> bool:
    """Whether the stories of a row's client hold its verdict, and exactly its tags."""
    address = f"[{row['client']}]" if ":" in row["client"] else row["client"]
    told = halfopen("explain", row["file"], f"{address}:{row['client_port']}").out
    for story in told.split("\n\n\n"):
        cells = [re.split(r"\s{2,}", line) for line in story.splitlines()]
        tags = [cell[1] for cell in cells if len(cell) > 1 and cell[1] in Tag.__members__]
        verdicts = [cell[1:] for cell in cells if cell[0] in ("Verdict", "Signature")]
        left_out = row["evidence"]["left_out"]
        wanted = (
            [["undecided", f"left out: {left_out}"]] if left_out else [[row["stage"]], [row["signature"]]]
        )
        if [
            found[: len(want)] for found, want in zip(verdicts, wanted, strict=False)
        ] == wanted and tags == row["tags"]:
            return True
    return False


def test_packets_of_others_move_the_clock(halfopen: Run, tmp_path: Path) -> None:
    mine = framed(Conversation(("192.0.2.1", 40000), SERVER).open().wait(3).rst())
    other = framed(Conversation(("192.0.2.2", 40000), SERVER, start=START + 2000 * SECOND).syn())
    path = tmp_path / "disordered.pcap"
    # pcap() keeps this order: the other's SYN comes before the reset, from after its time.
    path.write_bytes(pcap([*mine[:-1], *other, mine[-1]]))
    ran = halfopen("classify", path, "--format", "ndjson", "--all")
    rows = [json.loads(line) for line in ran.out.splitlines()]
    assert rows[0]["evidence"]["resets"] == 0
    assert agrees(halfopen, rows[0])


def test_a_file_that_is_missing_is_named(halfopen: Run, tmp_path: Path) -> None:
    ran = halfopen("explain", tmp_path / "nosuch.pcap", "192.0.2.1:40000")
    assert ran.code == 1
    assert ran.err.splitlines() == [
        f"halfopen: {tmp_path}/nosuch.pcap: no such file",
        "halfopen: nothing was readable",
    ]


def test_a_story_ends_as_classify_says(halfopen: Run, capture: Path) -> None:
    matrix = sorted((Path(__file__).parents[2] / "captures" / "matrix").glob("*.pcap"))
    ran = halfopen("classify", capture, *matrix, "--format", "ndjson", "--all")
    rows = [json.loads(line) for line in ran.out.splitlines()]
    assert len(rows) > 100
    assert [(row["file"], row["client"]) for row in rows if not agrees(halfopen, row)] == []
