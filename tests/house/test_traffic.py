"""The benchmark's traffic is what its scripts say, and the same every time."""

from __future__ import annotations

import sys
from collections import Counter as Tally
from pathlib import Path
from typing import Any, Final

import pytest

import halfopen
from tests.house.project import ROOT

LABELS: Final = {
    "scan, no answer": ("post_syn", "syn_timeout"),
    "scan reset by the scanner": ("post_syn", "syn_rst"),
    "scan, answered in vain": ("post_syn", "syn_timeout"),
    "syn repeated, no answer": ("post_syn", "syn_timeout"),
    "handshake, then silence": ("post_ack", "ack_timeout"),
    "handshake, then a reset": ("post_ack", "ack_rst"),
    "hello, then silence": ("post_psh", "psh_timeout"),
    "hello, then one reset": ("post_psh", "psh_rst"),
    "hello, then a reset with ACK": ("post_psh", "psh_rstack"),
    "hello, then three resets with ACK": ("post_psh", "psh_rstacks"),
    "hello, then both kinds of reset": ("post_psh", "psh_rst_rstack"),
    "hello, then resets with and without an ack number": ("post_psh", "psh_rsts_zero_ack"),
    "http closed by a reset of the client": ("post_psh", "psh_rstack"),
    "second request, then a reset": ("later_in_flow", "data_rst"),
}
"""What each script must give; all others give no_match."""


@pytest.fixture(scope="module")
def traffic() -> Any:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        import traffic  # type: ignore[import-not-found]
    finally:
        sys.path.pop(0)
    return traffic


def test_every_script_gives_its_label(traffic: Any, tmp_path: Path) -> None:
    profile = traffic.Profile(column=0, rate=100, seconds=4, snaplen=262_144)
    file = tmp_path / "traffic.pcap"
    counts = traffic.generate(profile, file)
    table = halfopen.classify([file])
    found = Tally(zip(table["stage"].to_pylist(), table["signature"].to_pylist(), strict=True))
    deck = [name for name, (shares, _) in traffic.SCRIPTS.items() for _ in range(shares[0])]
    played = (deck[int(traffic.mix(number, 1)) % len(deck)] for number in range(counts["connections"]))
    assert found == Tally(LABELS.get(name, ("no_match", "none")) for name in played)
    assert counts["bytes"] == file.stat().st_size


def test_it_is_the_same_every_time(traffic: Any, tmp_path: Path) -> None:
    profile = traffic.Profile(column=1, rate=100, seconds=1, snaplen=96)
    files = [tmp_path / name for name in ("one.pcap", "two.pcap")]
    for file in files:
        traffic.generate(profile, file)
    assert files[0].read_bytes() == files[1].read_bytes()
