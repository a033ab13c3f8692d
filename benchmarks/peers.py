"""The programs we are measured beside: how each reads a capture and what it is to be beaten by."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
BIN: Final = Path(sys.executable).parent

NFSTREAM: Final = "nfstream==6.5.4"
COUNT_FLOWS: Final = (
    "import sys; from nfstream import NFStreamer; sum(1 for _ in NFStreamer(sys.argv[1], n_meters=1))"
)


@dataclass(frozen=True, slots=True)
class Peer:
    """One program; `target` is how many times as many packets a second we want to do, `profile` what it reads."""

    name: str
    program: str
    package: str
    command: Callable[[str, Path, Path], list[str]]  # program, capture, folder for its output
    target: float | None = None
    profile: str = "mixed"


FAST: Final = (
    Peer(
        "tcpdump -w /dev/null",
        "tcpdump",
        "tcpdump",
        lambda program, file, _: [program, "-r", str(file), "-w", "/dev/null"],
        1,
    ),
    Peer(
        "nfpcapd",
        "nfpcapd",
        "nfdump",
        lambda program, file, out: [program, "-r", str(file), "-w", str(out)],
        3,
    ),
    Peer(
        "argus",
        "argus",
        "argus-server",
        lambda program, file, _: [program, "-r", str(file), "-w", "/dev/null"],
        5,
    ),
)
"""Run on the whole capture."""

SLOW: Final = (
    Peer(
        "tshark -q -z conv,tcp",
        "tshark",
        "tshark",
        lambda program, file, _: [program, "-q", "-z", "conv,tcp", "-r", str(file)],
        50,
        "mixed-tenth",
    ),
    Peer(
        "nfstream, one meter",
        "nfstream",
        "from the package index",
        lambda program, file, _: [program, "-c", COUNT_FLOWS, str(file)],
        50,
        "mixed-tenth",
    ),
    Peer(
        "our pure-Python twin",
        sys.executable,
        "",
        lambda program, file, _: [program, str(HERE / "twin.py"), str(file)],
        profile="mixed-hundredth",
    ),
)
"""Run on a smaller one; their rate is taken between two sizes, so their start-up does not count against them."""


def find(peer: Peer, cache: Path) -> str | None:
    """The peer's program on this machine, None where it is missing."""
    if peer.program == "nfstream":
        return nfstream(cache / "nfstream")
    return shutil.which(peer.program) or shutil.which(peer.program, path="/usr/sbin:/sbin")


def nfstream(folder: Path) -> str | None:
    """A Python with nfstream in an environment of its own, made once; None where it cannot be."""
    python = folder / "bin" / "python"
    if not python.exists():
        uv = str(BIN / "uv")
        try:
            subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, folder], check=True)
            subprocess.run([uv, "pip", "install", "--quiet", "--python", python, NFSTREAM], check=True)
        except (OSError, subprocess.CalledProcessError):
            shutil.rmtree(folder, ignore_errors=True)
            return None
    return str(python)
