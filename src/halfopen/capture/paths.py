"""From the arguments of a command to the files that are meant."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from halfopen.capture.pcap import SCALES
from halfopen.capture.pcapng import SECTION_HEADER
from halfopen.capture.streams import STANDARD_INPUT, beginning
from halfopen.errors import UnreadableError

_MAGIC = {*SCALES, SECTION_HEADER}


def capture_files(arguments: Sequence[str]) -> list[str]:
    """The files meant by paths, patterns (``**`` is recursive), directories and ``-``, in their order.

    What a pattern matches and what a directory holds is sorted by name. A directory is searched to
    its depth for files that begin as a capture does, compressed or not; others in it are passed over.
    An argument that means no file stands for itself: whoever opens it says why there is none.
    """
    files: list[str] = []
    for argument in arguments:
        if argument == STANDARD_INPUT:
            found = [argument]
        elif os.path.lexists(argument):
            found = list(_found([argument]))
        else:
            found = list(_found(sorted(glob.glob(argument, recursive=True))))  # noqa: PTH207
        files += found or [argument]
    return files


def _found(paths: Sequence[str]) -> Iterator[str]:
    for path in paths:
        if Path(path).is_dir():
            yield from _captures_in(Path(path))
        else:
            yield path


def _captures_in(directory: Path) -> Iterator[str]:
    for parent, directories, names in os.walk(directory):
        directories.sort()
        for path in sorted(Path(parent, name) for name in names):
            if os.path.isfile(path) and _may_be_capture(path):  # noqa: PTH113
                yield str(path)


def _may_be_capture(path: Path) -> bool:
    try:
        return beginning(path, 4) in _MAGIC
    except OSError:  # nobody can tell: it is to be reported when it is read
        return True


def unreadable(path: str, error: OSError) -> UnreadableError:
    """What to say of a file, or of what was to mean some, that cannot be opened."""
    return UnreadableError(path, _why(path, error))


def _why(path: str, error: OSError) -> str:
    if isinstance(error, IsADirectoryError):
        return "no capture in this directory"
    if isinstance(error, FileNotFoundError):
        return "matches nothing" if glob.has_magic(path) and not os.path.lexists(path) else "no such file"
    return f"cannot be read: {error.strerror or error}"
