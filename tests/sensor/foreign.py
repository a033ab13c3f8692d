"""A Python that users other than root may run: this one, unless it lies in root's home."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from functools import cache

from tests.house.project import ROOT


@cache
def python() -> str | None:
    """The interpreter; None where there is none of this version."""
    version = "import sys; print(sys.version_info[:2])"
    candidates = [
        sys.executable,
        shutil.which(
            f"python{sys.version_info.major}.{sys.version_info.minor}", path="/usr/local/bin:/usr/bin"
        ),
    ]
    for candidate in filter(None, candidates):
        try:
            done = subprocess.run(
                [candidate, "-c", f"import halfopen.errors; {version}"],
                user="nobody", env=environment(), capture_output=True, text=True, check=False,
            )  # fmt: skip
        except PermissionError:
            continue
        if done.stdout.strip() == str(sys.version_info[:2]):
            return candidate
    return None


def environment() -> dict[str, str]:
    """With which it finds what this one finds."""
    packages = sysconfig.get_path("purelib")
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT), packages])}
