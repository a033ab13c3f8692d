"""The demo's places: the script remakes the file, and the table beside it says what is in it."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from halfopen.places import Places
from tests.places.files import look_up

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "scripts" / "make_demo_places.py"))


def test_the_script_remakes_the_file(script: dict[str, Any], tmp_path: Path) -> None:
    script["make"](tmp_path / "again.mmdb")
    assert (tmp_path / "again.mmdb").read_bytes() == script["OUTPUT"].read_bytes()


def test_the_readme_and_the_file_hold_the_table(script: dict[str, Any]) -> None:
    lines = (ROOT / "captures" / "places" / "README.md").read_text().splitlines()
    written = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines if "|" in line]
    networks: list[Any] = [(network, int(asn), *rest) for network, asn, *rest in written if asn.isdecimal()]
    assert networks == list(script["NETWORKS"])
    places = Places.open([ROOT / "captures" / "places"])
    rows = look_up(places, *[network.partition("/")[0] for network, *_ in networks])
    assert rows == [(asn, country, continent) for _, asn, _, country, continent in networks]
    assert [places.network_name(asn) for _, asn, *_ in networks] == [name for _, _, name, *_ in networks]
