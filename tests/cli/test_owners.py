"""What belongs to somebody else is not written to by root: its owner could not go on with it."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable
from pathlib import Path

import pytest

from halfopen.store.store import Store
from tests.cli.conftest import Ran
from tests.conftest import allow

Run = Callable[..., Ran]

WRITING = (
    ("ingest", "one.pcap"),
    ("store", "compact"),
    ("store", "prune"),
    ("store", "forget", "--sensor", "x"),
    ("token", "create", "--permission", "admin"),
    ("tunnel", "create", "blog"),
    ("annotate", "words"),
    ("serve",),
    ("edge",),
)


@pytest.fixture
def owner(tmp_path: Path) -> str:
    """Whose `tmp_path / "data"` is."""
    allow(os.geteuid() == 0, "root, to give files away")
    (tmp_path / "data").mkdir(mode=0o700)
    Store(tmp_path / "data" / "store", create=True).close()
    nobody = pwd.getpwnam("nobody")
    for path in (tmp_path / "data", *(tmp_path / "data").rglob("*")):
        os.chown(path, nobody.pw_uid, nobody.pw_gid)
    return nobody.pw_name


@pytest.mark.parametrize("words", WRITING, ids=" ".join)
def test_root_is_told_whose_the_directory_is_and_how_to_work_as_the_owner(
    halfopen: Run, captures: Path, tmp_path: Path, owner: str, words: tuple[str, ...]
) -> None:
    before = sorted(tmp_path.rglob("*"))
    ran = halfopen(
        *(captures / each if each == "one.pcap" else each for each in words), "--data", tmp_path / "data"
    )
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (2, "", 1), ran.err
    assert f"which belongs to {owner}," in ran.err
    assert f"sudo -u {owner} halfopen" in ran.err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_store_elsewhere_is_looked_at_as_well(
    halfopen: Run, captures: Path, tmp_path: Path, owner: str
) -> None:
    store = tmp_path / "data" / "store"
    ran = halfopen("ingest", captures / "one.pcap", "--data", tmp_path / "own", "--store", store)
    assert (ran.code, f"--store: {store}, which belongs to {owner}," in ran.err) == (2, True)


def test_reading_is_for_root_too(halfopen: Run, tmp_path: Path, owner: str) -> None:
    assert halfopen("store", "info", "--data", tmp_path / "data").code == 0
