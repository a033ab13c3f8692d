"""The DNS records by which connectors find an edge that they are not told, and the page that tells of it, command by command."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from ipaddress import ip_address
from pathlib import Path

from halfopen.edge.discovery import REGIONS, records
from tests.cli.conftest import spawned
from tests.conftest import Require
from tests.edge.resolver import read
from tests.house.project import ROOT

SRV = "_v2-origintunneld._tcp.argotunnel.com"
SEPARATE = (
    "unshare",
    "--net",
    "--mount",
    "--pid",
    "--mount-proc",
    "--fork",
    "--kill-child",
    *(() if os.geteuid() == 0 else ("--map-root-user",)),
)


def test_both_regions_have_all_addresses() -> None:
    given = [ip_address(each) for each in ("192.0.2.1", "2001:db8::1", "192.0.2.2")]
    found = read(list(records(given, 7000)))
    for region in REGIONS:
        assert found[region, 1] == [given[0].packed, given[2].packed]
        assert found[region, 28] == [given[1].packed]
    assert [struct.unpack_from("!HHH", data)[2] for data in found[SRV, 33]] == [7000, 7000]
    for name in ("protocol-v2.argotunnel.com", "cfd-features.argotunnel.com"):
        (text,) = found[name, 16]
        assert json.loads(text[1:])


def test_what_is_no_address_is_refused() -> None:
    ran = spawned("edge", "dns", "edge.example.com")
    words = "halfopen: ADDRESS: edge.example.com cannot be used; accepted: an IPv4 or IPv6 address\n"
    assert (ran.code, ran.err) == (2, words)


def test_every_command_of_the_page_runs(tmp_path: Path, require: Require) -> None:
    for program in ("ip", "curl", "bash", "unshare"):
        require(shutil.which(program) is not None, program)
    may = subprocess.run([*SEPARATE, "true"], capture_output=True, check=False).returncode == 0
    require(may, "network and mount namespaces (unshare, as root or where users may make their own)")
    done = subprocess.run(
        [*SEPARATE, sys.executable, "-m", "tests.edge.page", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
