"""Where machine code is kept for later runs: a directory named by the sources it was made from."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import stat
import sys
import tempfile
import time
from contextlib import suppress
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).parents[1]

ROOMS: Final = (".", "jit", "capture", "capture/live", "connections", "places")
"""Folders of the package whose sources kernels are made from."""

MAKES_AN_IMAGE: Final = "HALFOPEN_MAKES_AN_IMAGE"
"""Set in the environment of the process that compiles an image, to the directory it is for."""

OUTDATED: Final = 30 * 24 * 3600
"""Seconds after which machine code that nobody used is removed."""


def _sources_digest() -> str:
    digest = blake2b(digest_size=8)
    for room in ROOMS:
        for source in sorted((PACKAGE / room).glob("*.py")):
            digest.update(source.read_bytes())
    return digest.hexdigest()


def _trusted(directory: Path) -> bool:
    """Whether nobody else can have put there what lies there, for it is run."""
    if sys.platform == "win32":
        return True
    about, around = directory.lstat(), directory.parent.stat()
    return (
        stat.S_ISDIR(about.st_mode)
        and about.st_uid in (os.getuid(), 0)
        and not about.st_mode & 0o022
        and (not around.st_mode & 0o022 or bool(around.st_mode & stat.S_ISVTX))
    )


def _kept() -> tuple[Path | None, str]:
    """Where machine code is kept, below NUMBA_CACHE_DIR or the user's cache; or why it is kept nowhere."""
    try:
        own = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "halfopen" / "kernels"
        directory = Path(os.environ.get("NUMBA_CACHE_DIR") or own) / _sources_digest()
    except RuntimeError:
        return None, "there is no home to keep it in"
    try:
        directory.mkdir(0o700, parents=True, exist_ok=True)
        trusted = _trusted(directory)
    except OSError:
        return None, f"{directory} cannot be written"
    return (directory, "") if trusted else (None, f"others could write to {directory}")


@cache
def directory() -> Path:
    """Where new machine code goes: where it is kept, or else where it stays until this process ends."""
    if given := os.environ.get(MAKES_AN_IMAGE):
        return Path(given)
    if KEPT is not None and os.access(KEPT, os.W_OK):
        return KEPT
    made = Path(tempfile.mkdtemp(prefix="halfopen-kernels-"))
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


KEPT, _WHY_NOT = _kept()


@cache
def say_compiling() -> None:
    """Say once that kernels are being compiled, so that a first run does not look like a hang."""
    stays = directory() == KEPT
    kept = "once; kept for later runs" if stays else f"each time: {_WHY_NOT or f'{KEPT} cannot be written'}"
    print(f"halfopen: compiling for this machine, {kept} ...", file=sys.stderr)
    if stays:
        _remove_outdated()


def _remove_outdated() -> None:
    """Remove the machine code of other sources that nobody has used for a month."""
    for other in directory().parent.iterdir():
        if other != directory() and re.fullmatch("[0-9a-f]{16}", other.name):
            with suppress(OSError):  # another process may be at it, too
                used = [file.stat().st_atime for file in other.iterdir()]
                newest = max([other.stat().st_mtime, *used])  # an empty one is about to be filled
                if newest < time.time() - OUTDATED:
                    shutil.rmtree(other, ignore_errors=True)
