"""What docs/dataset.md shows works as it stands there: the questions, and how to erase what is stored."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from halfopen.store.committer import Batch
from halfopen.store.store import Store
from halfopen.testing.conversation import Conversation, framed
from halfopen.testing.pcap import pcap
from tests.cli.conftest import Ran, capture_bytes
from tests.dataset.conftest import Installation
from tests.dataset.test_ingest import kept
from tests.house.project import DOCS, code
from tests.store.rows import table

QUESTIONS, ERASING = code(DOCS / "dataset.md", "sh")
CLIENT = "203.0.113.7"


@pytest.mark.parametrize("asked", re.findall(r"^api '([^']+)'$", QUESTIONS, re.MULTILINE))
def test_the_questions_are_answered(installation: Installation, asked: str) -> None:
    token = installation.tokens["other" if "/connections?" in asked else "radar"]
    answer = httpx.get(
        f"{installation.api}/radar/{asked}", headers={"authorization": f"Bearer {token}"}, timeout=60
    )
    assert answer.status_code == 200, answer.text
    assert answer.content.startswith(b"Serie" if "format=CSV" in asked else b"{")


def test_what_is_stored_can_be_erased(
    halfopen: Callable[..., Ran], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "halfopen"
    (tmp_path / "capture.pcap").write_bytes(capture_bytes(0))
    other = framed(Conversation((CLIENT, 40000), ("203.0.113.200", 443)).syn().rst())
    (tmp_path / "other.pcap").write_bytes(pcap(other))
    assert halfopen("ingest", "--keep-clients", "full", "capture.pcap", "other.pcap").code == 0
    with closing(Store(data / "store")) as store:
        store.committer().commit([Batch("web-1", "one", 1, 1, table([]))])
    assert CLIENT in {row["client"] for row in kept(data)}
    said = {}
    for line in ERASING.splitlines():
        verb, *argv = shlex.split(line, comments=True)
        assert verb == "halfopen"
        done = halfopen(*argv)
        assert (done.code, done.err) == (0, ""), line
        said[" ".join(argv)] = done.out
    assert "6 connections taken out" in said["store forget --capture capture.pcap"]
    assert "of 1 connections" in said[f"store forget --client {CLIENT}"]
    assert "web-1" in said["store info"]
    assert "web-1" not in halfopen("store", "info").out
    assert [row["client"] for row in kept(data)] == [None]
