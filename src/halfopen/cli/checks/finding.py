"""What a check finds, and what it is made from."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from halfopen.errors import HalfopenError


class Level(StrEnum):
    """How it stands: as it should be, worth knowing, or to be mended."""

    ok = "ok"
    note = "note"
    problem = "problem"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at, in words, and what to do about it."""

    level: Level
    about: str
    words: str
    remedy: str = ""


@dataclass(frozen=True)
class Examined:
    """An installation: its data directory, what `serve` and `sense` would go by, where the dataset lies, names to resolve."""

    data: Path
    serve: Namespace
    sense: Namespace
    store: str
    names: tuple[str, ...] = ()


Check = Callable[[Examined], Iterator[Finding]]
"""Looks at one thing, without changing any."""


def found(about: str, check: Check, examined: Examined, remedy: str) -> Iterator[Finding]:
    """What a check finds; what it fails by is a problem, too, with this remedy."""
    try:
        yield from check(examined)
    except HalfopenError as error:
        yield Finding(Level.problem, about, str(error), remedy)
    except OSError as error:
        words = f"{error.filename or 'the system'}: {error.strerror or error}"
        yield Finding(Level.problem, about, words, remedy)
