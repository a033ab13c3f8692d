"""Places files beside a server: read when they are asked, again when they have changed, kept while they cannot be."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from halfopen.places.networks import Network
from halfopen.radar.atlas import Atlas
from tests.places.files import asn, country, write

ADDRESS = ip_address("192.0.2.1")


def put(path: Path, networks: Mapping[str, Any]) -> None:
    """A new file in the place of another."""
    write(path.with_suffix(".new"), networks).replace(path)


def test_files_are_read_again_when_they_have_changed(tmp_path: Path) -> None:
    put(tmp_path / "a.mmdb", {"192.0.2.0/24": asn(1, "One") | country("DE")})
    atlas = Atlas([tmp_path])
    before = atlas.version
    assert atlas.answer(ADDRESS).asn == 1
    assert list(atlas.networks()) == [Network(1, "One", "DE")]
    assert atlas.networks() is atlas.networks()
    assert atlas.version == before
    put(tmp_path / "a.mmdb", {"192.0.2.0/24": asn(2, "Two")})
    assert atlas.version != before
    assert atlas.answer(ADDRESS).asn == 2
    assert list(atlas.networks()) == [Network(2, "Two")]
    put(tmp_path / "b.mmdb", {"192.0.2.0/24": country("US")})
    assert atlas.answer(ADDRESS).location == "US"
    assert list(atlas.networks()) == [Network(2, "Two", "US")]


def test_without_files_nothing_is_known() -> None:
    atlas = Atlas([])
    assert (atlas.answer(ADDRESS).asn, len(atlas.networks()), atlas.networks().source) == (0, 0, "")


def test_files_that_cannot_be_read_leave_those_before_in_use(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.mmdb"
    put(path, {"192.0.2.0/24": asn(1, "One")})
    atlas = Atlas([tmp_path])
    assert len(atlas.networks()) == 1
    (tmp_path / "bad").write_bytes(b"not a file of places")
    (tmp_path / "bad").replace(path)
    with caplog.at_level(logging.ERROR, "halfopen.faults"):
        assert [len(atlas.networks()) for _ in range(3)] == [1, 1, 1]
    assert [record.getMessage() for record in caplog.records] == [
        f"places: {path}: not an MMDB file, or a damaged one"
    ]
    version = atlas.version
    path.unlink()
    assert (atlas.version, atlas.answer(ADDRESS).asn) == (version, 1)
    put(path, {"192.0.2.0/24": asn(3, "Three")})
    assert list(atlas.networks()) == [Network(3, "Three")]


def test_damage_that_the_walk_meets_costs_the_names_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    many = {f"10.{i}.0.0/16": asn(i + 1, f"Name {i}") for i in range(250)}
    path = write(tmp_path / "a.mmdb", many, ip_version=4)
    content = path.read_bytes()
    assert content.count(b"Name 240") == 1
    path.write_bytes(content.replace(b"Name 240", b"Name\xff\xfe\xfd\xfc"))
    atlas = Atlas([path])
    with caplog.at_level(logging.ERROR, "halfopen.faults"):
        assert [len(atlas.networks()) for _ in range(2)] == [0, 0]
    (record,) = caplog.records
    assert "a.mmdb" in record.getMessage()
    assert atlas.answer(ip_address("10.3.0.1")).organisation == "Name 3"


def test_threads_walk_once(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mmdb", {f"10.{i}.0.0/16": asn(i + 1, f"Name {i}") for i in range(250)})
    atlas = Atlas([path])
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: atlas.networks(), range(16)))
    assert len({id(each) for each in found}) == 1
    assert len(found[0]) == 250
