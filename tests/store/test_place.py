"""Where a store may lie, and what becomes of one that does not answer."""

from __future__ import annotations

import socket
import stat
import time
from contextlib import closing
from pathlib import Path

import pytest

from halfopen.errors import StoreError
from halfopen.store import place
from halfopen.store.place import Overtaken, Place
from halfopen.store.store import Store

KEYS = {
    "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}  # fmt: skip


@pytest.mark.parametrize("where", ["gs://bucket/store", "http://localhost/store", "az://bucket"])
def test_no_other_object_stores(where: str) -> None:
    with pytest.raises(StoreError, match="s3://bucket/prefix"):
        Place(where)


@pytest.mark.parametrize("name", ["a*", "a?b", "[a]", "100%20b", "%C3%A4"])
def test_paths_that_libraries_would_misread_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError, match="must not contain"):
        Store(tmp_path / name, create=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a b", "100%", "a%zz", "a#b", "ä"])
def test_other_paths_are_as_good_as_any(tmp_path: Path, name: str) -> None:
    Store(tmp_path / name, create=True).close()
    with closing(Store(tmp_path / name)) as store:
        assert store.info().tables[0].rows == 0
    assert [each.name for each in tmp_path.iterdir()] == [name]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_store_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    data.chmod(0o755)
    Store(data / "store", create=True).close()
    assert (mode(data), mode(data / "store")) == (0o755, 0o700)
    (data / "store").chmod(0o750)  # shared on purpose
    Store(data / "store", create=True).close()
    assert mode(data / "store") == 0o750


def nobody(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT", "AWS_ALLOW_HTTP"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**KEYS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}.items():
        monkeypatch.setenv(name, value)


def test_an_object_store_that_is_away_is_told_of_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))  # and does not listen
        nobody(monkeypatch, probe.getsockname()[1])
        begun = time.monotonic()
        with pytest.raises(StoreError):
            Place("s3://bucket/store").read("sensors.parquet")
        with pytest.raises(OSError, match="bucket"):
            Place("s3://bucket/store").files.open_input_file("connections")
        with pytest.raises(StoreError):
            Store("s3://bucket/store")
        assert time.monotonic() - begun < 60


def test_an_object_store_that_is_silent_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        nobody(monkeypatch, silent.getsockname()[1])
        monkeypatch.setattr(place, "SILENCE", 1)
        monkeypatch.setattr(place, "REQUEST_TIMEOUT", 1)
        monkeypatch.setattr(place, "RETRY_TIMEOUT", 2)
        begun = time.monotonic()
        with pytest.raises(StoreError):
            Place("s3://bucket/store").read("sensors.parquet")
        with pytest.raises(OSError, match="bucket"):
            Place("s3://bucket/store").files.open_input_file("connections")
        with pytest.raises(StoreError):
            Store("s3://bucket/store")
        assert time.monotonic() - begun < 60


def test_a_content_is_replaced_by_who_has_seen_it(where: str) -> None:
    place, other = Place(where), Place(where)
    place.make()
    assert place.mark("file") is None
    assert place.read("file") is None
    first = place.replace("file", b"one", None)
    assert place.read("file") == other.read("file") == (b"one", first)
    assert place.mark("file") == first
    second = other.replace("file", b"two", first)
    for stale in (None, first):
        with pytest.raises(Overtaken):
            place.replace("file", b"three", stale)
    assert place.read("file") == (b"two", second)
    with pytest.raises(Overtaken):
        place.replace("none", b"one", first)
    assert place.read("none") is None
