"""Where machine code is kept for later runs: a directory named by the sources it was made from."""

from __future__ import annotations

import atexit
import os
import re
import shutil
import sys
import tempfile
import time
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Final

PACKAGE: Final = Path(__file__).parents[1]

ROOMS: Final = (".", "jit", "capture", "connections", "places")
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


def _cache_directory() -> tuple[Path, bool]:
    """Where the machine code lies, and whether it stays there.

    Below NUMBA_CACHE_DIR or the user's cache; where neither can be written, until this process ends.
    """
    try:
        own = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "halfopen" / "kernels"
        directory = Path(os.environ.get("NUMBA_CACHE_DIR") or own) / _sources_digest()
        directory.mkdir(0o700, parents=True, exist_ok=True)
        if os.access(directory, os.W_OK) and _nobody_elses(directory):
            return directory, True
    except (OSError, RuntimeError):  # no home, no place in it
        pass
    directory = Path(tempfile.mkdtemp(prefix="halfopen-kernels-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory, False


def _nobody_elses(directory: Path) -> bool:
    """Whether only this user could have written to a directory: what lies there is run."""
    about = directory.stat()
    return sys.platform == "win32" or (about.st_uid == os.getuid() and not about.st_mode & 0o022)


if given := os.environ.get(MAKES_AN_IMAGE):
    DIRECTORY, STAYS = Path(given), True
else:
    DIRECTORY, STAYS = _cache_directory()


@cache
def say_compiling() -> None:
    """Say once that kernels are being compiled, so that a first run does not look like a hang."""
    kept = "once; kept for later runs" if STAYS else "each time: its cache directory cannot be written"
    print(f"halfopen: compiling for this machine, {kept} ...", file=sys.stderr)


@cache
def remove_outdated() -> None:
    """Once, remove the machine code of other sources that nobody has used for a month."""
    if not STAYS:
        return
    for other in DIRECTORY.parent.iterdir():
        if other != DIRECTORY and re.fullmatch("[0-9a-f]{16}", other.name):
            newest = max((file.stat().st_atime for file in other.rglob("*")), default=0.0)
            if newest < time.time() - OUTDATED:
                shutil.rmtree(other, ignore_errors=True)
