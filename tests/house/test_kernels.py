"""Kernels as users run them: machine code mapped from an image, without numba."""

from __future__ import annotations

import os
import platform
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from halfopen.jit import cache
from tests.house.project import ROOT

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64", reason="kernels run under numba here"
)

CAPTURES = ROOT / "captures"
KEPT = Path(tempfile.gettempdir()) / f"halfopen-mapped-{os.getuid()}"
"""Where these tests keep machine code: as it is for users, bounds are not checked in it."""


def python(
    program: str, *argv: object, kept: Path = KEPT, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a program as a user would."""
    env = {name: value for name, value in os.environ.items() if name != "NUMBA_BOUNDSCHECK"}
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, argv)],
        env=env | {"NUMBA_CACHE_DIR": str(kept)}, capture_output=True, text=True, check=check, timeout=300,
    )  # fmt: skip


COMMAND = "import sys; from halfopen.cli.main import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    """Compiling is not charged to the first test."""
    python(COMMAND, "classify", CAPTURES / "demo.pcap.gz", "--summary", "--places", CAPTURES / "places")


def test_mapped_kernels_say_what_checked_ones_do(halfopen_checked: str) -> None:
    ran = python(COMMAND, *CLASSIFY)
    assert ran.stdout == halfopen_checked
    assert "compiling" not in ran.stderr


CLASSIFY = (
    "classify", CAPTURES / "demo.pcap.gz", CAPTURES / "matrix", "--format", "ndjson", "--all",
    "--places", CAPTURES / "places",
)  # fmt: skip


@pytest.fixture(scope="module")
def halfopen_checked() -> str:
    """The same command with the kernels of the other tests."""
    return subprocess.run(
        [sys.executable, "-c", COMMAND, *map(str, CLASSIFY)],
        capture_output=True, text=True, check=True, timeout=300,
    ).stdout  # fmt: skip


def test_neither_numba_nor_llvm_is_loaded() -> None:
    program = COMMAND.replace("sys.exit(main(sys.argv[1:]))", "main(sys.argv[1:]); print(*sys.modules)")
    modules = python(program, "classify", CAPTURES / "demo.pcap.gz", "--summary").stdout.split()
    assert "halfopen.connections.flow" in modules
    assert not {"numba", "llvmlite", "elftools", "pyarrow"} & set(modules)


def test_an_array_of_another_kind_is_refused() -> None:
    program = """
import numpy as np
from halfopen.places.tree import number_keys
one = np.zeros(1, np.uint64)
number_keys(one, one, one.astype(np.int64).reshape(1, 1), 0, *[np.zeros(2, np.int32)] * 3)
"""
    ran = python(program, check=False)
    assert "TypeError: number_keys takes an array of ('<u8', (2,)), not of int64" in ran.stderr


@pytest.mark.parametrize("content", [b"", b"{}\n", b'{"size": 9, "begins": {}}\n', None])
def test_an_image_that_is_not_whole_is_made_again(content: bytes | None, tmp_path: Path) -> None:
    shutil.copytree(KEPT, tmp_path, dirs_exist_ok=True)
    (image,) = tmp_path.glob(f"{cache._sources_digest()}/halfopen.places.tree.image")
    image.write_bytes(image.read_bytes()[:-1] if content is None else content)
    ran = python(COMMAND, "places", "lookup", "192.0.2.1", "--places", CAPTURES / "places", kept=tmp_path)
    assert "AS64496" in ran.stdout
    assert ran.stderr.count("compiling") == 1


def test_what_cannot_be_compiled_is_said_in_one_line(tmp_path: Path) -> None:
    ran = python(
        "import sys; sys.executable = '/bin/false'\n" + COMMAND, *CLASSIFY, kept=tmp_path, check=False
    )
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1].startswith("halfopen: halfopen.")
    assert "could not be compiled" in ran.stderr


@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_code_that_others_could_have_written_is_not_run(
    mode: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    directory, stays = cache._cache_directory()
    assert (directory.parent, stays) == (tmp_path, True)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    directory.chmod(mode)
    other, stays = cache._cache_directory()
    assert not stays
    assert other.parent != tmp_path
