"""Stores work where there is nothing but loopback, and ask nobody outside for anything."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from halfopen.testing.namespaces import MissingError, Namespace
from tests.conftest import Require
from tests.house.project import ROOT

TESTS = (
    "test_counts.py::test_on_any_place",
    "test_committer.py::test_a_replaced_file_leaves_nothing_behind",
    "test_committer.py::test_retention_counts_from_the_syn_or_from_ingestion",
)
"""Each with a local store and with one on a stand-in for S3 on loopback."""


@pytest.fixture
def namespace(require: Require) -> Iterator[Namespace]:
    """A network namespace with loopback alone."""
    require(sys.platform == "linux", "Linux")
    try:
        made = Namespace()
        made.run("ip link set lo up")
    except MissingError as missing:
        require(False, str(missing))
    yield made
    made.close()


def asked(namespace: Namespace) -> int:
    """How often something outside was asked for: packets without a route, and questions to name servers anywhere."""
    with namespace.entered():
        lines = Path("/proc/thread-self/net/snmp").read_text().splitlines()
        found = dict(line.split() for line in Path("/proc/thread-self/net/snmp6").read_text().splitlines())
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        protocol, *fields = names.split()
        found |= zip((protocol + field for field in fields), values.split()[1:], strict=True)
    counters = "Ip:OutNoRoutes", "Ip6OutNoRoutes", "Udp:OutDatagrams", "Udp6OutDatagrams"
    return sum(int(found[counter]) for counter in counters)


def test_nobody_outside_is_asked(namespace: Namespace, tmp_path: Path) -> None:
    own = ("PYTEST_", "AWS_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "--basetemp",
        str(tmp_path / "inside"),
    ]
    with namespace.entered():
        ran = subprocess.run(
            [*command, *(f"tests/store/{test}" for test in TESTS)],
            cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert asked(namespace) == 0
    with namespace.entered():
        for family, address in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
            with socket.socket(family, socket.SOCK_STREAM) as one, suppress(OSError):
                one.connect((address, 443))
    assert asked(namespace) == 2, "it would not have been seen"
