"""What captures are known by."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path

import pytest

from halfopen.capture import known as module
from halfopen.capture.known import DIGEST, Known, known
from halfopen.capture.source import Capture


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    contents = {"empty": b"", "one": b"0123456", "two": b"0123456789"}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return [str(tmp_path / name) for name in contents]


def test_a_file_is_known_by_its_sha256(files: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PIECE", 7)  # less than one, one, and more than one
    for file in files:
        found = known(Capture("called anything", [file]))
        assert found == Known(sha256(Path(file).read_bytes()).hexdigest())
        assert re.fullmatch(DIGEST, found.digest)


def test_a_joined_capture_is_known_by_its_files_in_their_order(files: list[str]) -> None:
    there, back = known(Capture("all", files)), known(Capture("all", files[::-1]))
    assert there.members == tuple(sha256(Path(file).read_bytes()).hexdigest() for file in files)
    assert back.members == there.members[::-1]
    assert len({there.digest, back.digest, *there.members}) == len(files) + 2


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere") as raised:
        known(Capture("all", [str(tmp_path / "nowhere")]))
    assert raised.value.filename == str(tmp_path / "nowhere")
