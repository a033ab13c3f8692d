"""The units of systemd fit the command line, give no more than is needed, and systemd has nothing to say against them."""

from __future__ import annotations

import shutil
import subprocess
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from halfopen.cli.main import parser
from tests.house.project import ROOT

UNITS: Final = ROOT / "packaging" / "systemd"
SERVICE: Final = UNITS / "halfopen-sense.service"
NFLOG: Final = UNITS / "nflog.conf"
SERVE: Final = UNITS / "halfopen-serve.service"
UP: Final = UNITS / "halfopen.service"
COMMAND: Final = "/opt/halfopen/bin/halfopen"

SPECIFIERS: Final = {
    "%S": "/var/lib",
    "%d": "/run/credentials/x",
    "%H": "web-1",
    "${SERVER}": "https://halfopen.example",
}

Require = Callable[[bool, str], None]


def settings(unit: Path) -> dict[str, list[str]]:
    """The values of each setting of the section [Service], in their order."""
    found: dict[str, list[str]] = defaultdict(list)
    section = ""
    for line in unit.read_text().splitlines():
        if line.startswith("["):
            section = line
        elif section == "[Service]" and line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found[name].append(value)
    return found


@pytest.mark.parametrize(
    ("unit", "verb"),
    [(SERVICE, "sense"), (NFLOG, "sense"), (SERVE, "serve"), (UP, "up")],
    ids=lambda each: getattr(each, "name", each),
)
def test_the_command_line_knows_what_a_unit_says(unit: Path, verb: str) -> None:
    command = settings(unit)["ExecStart"][-1]
    for specifier, value in SPECIFIERS.items():
        command = command.replace(specifier, value)
    program, *words = command.split()
    assert program == COMMAND
    assert "%" not in command
    assert words[0] == verb
    parser().parse_args(words)


@pytest.mark.parametrize(
    ("unit", "capability"), [(SERVICE, "CAP_NET_RAW"), (NFLOG, "CAP_NET_ADMIN"), (UP, "CAP_NET_RAW")]
)
def test_one_capability_is_given(unit: Path, capability: str) -> None:
    given = settings(unit)
    assert given["AmbientCapabilities"][-1] == given["CapabilityBoundingSet"][-1] == capability


@pytest.mark.parametrize("unit", [SERVICE, UP], ids=lambda unit: unit.name)
def test_what_the_sensor_needs_is_not_shut(unit: Path) -> None:
    given = settings(unit)
    assert given["MemoryDenyWriteExecute"] == given["PrivateUsers"] == given["PrivateNetwork"] == ["no"]
    assert given["SystemCallFilter"][-1] == "capset"


def test_the_end_of_all_is_left_to_the_one_that_knows_the_order() -> None:
    assert settings(UP)["KillMode"] == ["mixed"]


def test_the_server_is_given_nothing() -> None:
    given = settings(SERVE)
    assert given["AmbientCapabilities"] == given["CapabilityBoundingSet"] == [""]
    assert given["User"] == ["halfopen"]
    assert given["Environment"][0] == "XDG_DATA_HOME=%S/" + given["StateDirectory"][0]


@pytest.mark.parametrize("units", [(SERVICE, NFLOG), (SERVE,), (UP,)], ids=lambda units: units[0].name)
def test_systemd_finds_nothing_wrong(units: tuple[Path, ...], require: Require, tmp_path: Path) -> None:
    require(shutil.which("systemd-analyze") is not None, "systemd-analyze (Debian: package systemd)")
    unit, more = tmp_path / units[0].name, tmp_path / f"{units[0].name}.d"
    more.mkdir()
    for name, place in zip(units, (unit, more / NFLOG.name), strict=False):
        place.write_text(
            name.read_text().replace(COMMAND, "/bin/true").replace("User=halfopen", "User=daemon")
        )
        checked = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
        )
        assert (checked.returncode, checked.stderr) == (0, "")
    subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", unit],
        stdout=subprocess.DEVNULL, check=True,
    )  # fmt: skip
