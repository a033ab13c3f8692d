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


WALK = """
import sys
from halfopen.places import Places
from halfopen.places.networks import networks
print(*networks(Places.open(sys.argv[1:])))
print(*sys.modules)
"""
"""What a server does once, where places files are asked for names."""


def test_names_of_networks_are_gathered_without_numba() -> None:
    networks, modules = python(WALK, CAPTURES / "places").stdout.splitlines()
    assert "Example Access" in networks
    assert "halfopen.places.tree" in modules.split()
    assert not {"numba", "llvmlite", "elftools", "pyarrow"} & set(modules.split())


def test_an_array_of_another_kind_is_refused() -> None:
    program = """
import numpy as np
from halfopen.places.tree import number_keys
one = np.zeros(1, np.uint64)
number_keys(one, one, one.astype(np.int64).reshape(1, 1), 0, *[np.zeros(2, np.int32)] * 3)
"""
    ran = python(program, check=False)
    assert (
        "TypeError: number_keys takes a whole array of ('<u8', (2,)), not int64 of shape (1, 1)" in ran.stderr
    )


@pytest.mark.parametrize("content", [b"", b"{}\n", b'{"size": 9, "begins": {}}\n', None])
def test_an_image_that_is_not_whole_is_made_again(content: bytes | None, tmp_path: Path) -> None:
    shutil.copytree(KEPT, tmp_path, dirs_exist_ok=True)
    (image,) = tmp_path.glob(f"{cache._sources_digest()}/halfopen.places.tree.image")
    image.write_bytes(image.read_bytes()[:-1] if content is None else content)
    ran = python(WALK, CAPTURES / "places", kept=tmp_path)
    assert "Example Access" in ran.stdout
    assert ran.stderr.count("compiling") == 1


def test_what_cannot_be_compiled_is_said_in_one_line(tmp_path: Path) -> None:
    ran = python(
        "import sys; sys.executable = '/bin/false'\n" + COMMAND, *CLASSIFY, kept=tmp_path, check=False
    )
    assert ran.returncode == 1
    assert ran.stderr.splitlines()[-1].startswith("halfopen: halfopen.")
    assert "could not be compiled" in ran.stderr


def warm(tmp_path: Path) -> Path:
    """A copy of the machine code at hand."""
    return Path(shutil.copytree(KEPT / cache._sources_digest(), tmp_path / cache._sources_digest()))


TINY = ("classify", CAPTURES / "matrix" / "ack_rst.pcap", "--summary")


def test_what_lies_in_the_folder_we_are_in_is_not_run(tmp_path: Path) -> None:
    for name in ("json", "numpy", "numba", "halfopen"):
        (tmp_path / f"{name}.py").write_text("open('ran', 'w'); raise ImportError")
    image = warm(tmp_path) / "halfopen.capture.pcap.image"
    image.unlink()
    env = {name: value for name, value in os.environ.items() if name != "NUMBA_BOUNDSCHECK"}
    ran = subprocess.run(
        [Path(sys.executable).parent / "halfopen", *map(str, TINY)],
        cwd=tmp_path, env=env | {"NUMBA_CACHE_DIR": str(tmp_path), "NUMBA_DISABLE_JIT": "1"},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "compiling" in ran.stderr
    assert image.exists()
    assert not (tmp_path / "ran").exists()


def test_a_cache_that_cannot_be_written_is_read(tmp_path: Path) -> None:
    warm(tmp_path)
    # Root can write everywhere: let it believe otherwise.
    program = (
        "import os; real = os.access; os.access = lambda path, mode: mode != os.W_OK and real(path, mode)\n"
    )
    ran = python(program + COMMAND, *TINY, kept=tmp_path)
    assert "compiling" not in ran.stderr


@pytest.fixture
def kept_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of the cache, below one that only we can write to."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kernels"))
    (tmp_path / "kernels").mkdir(0o700)
    return tmp_path / "kernels" / cache._sources_digest()


@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_code_that_others_could_have_written_is_not_run(mode: int, kept_in: Path) -> None:
    assert cache._kept() == (kept_in, "")
    assert stat.S_IMODE(kept_in.stat().st_mode) == 0o700
    kept_in.chmod(mode)
    assert cache._kept() == (None, f"others could write to {kept_in}")


def test_nor_where_others_could_put_another_folder_in_its_place(kept_in: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(0o700)
    kept_in.symlink_to(tmp_path / "elsewhere")
    assert cache._kept()[0] is None
    kept_in.unlink()
    kept_in.parent.chmod(0o777)
    assert cache._kept()[0] is None
    kept_in.parent.chmod(0o1777)
    assert cache._kept()[0] == kept_in


def test_only_machine_code_that_nobody_used_for_long_is_removed(
    kept_in: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    new, old, fresh, other = (kept_in.parent / name for name in ("0" * 16, "1" * 16, "2" * 16, "mine"))
    for folder in (new, old, fresh, other):
        folder.mkdir()
    for file in (old / "a.image", fresh / "a.image", other / "a.image"):
        file.write_bytes(b"")
    long_ago = (0, 0)
    for path in (old / "a.image", old, fresh, other / "a.image", other):
        os.utime(path, long_ago)
    monkeypatch.setattr(cache, "directory", lambda: kept_in)
    cache._remove_outdated()
    assert sorted(folder.name for folder in kept_in.parent.iterdir()) == sorted(
        folder.name for folder in (new, fresh, other)
    )
