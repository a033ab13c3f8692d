"""Where results go: standard output, or a file that appears only when it is complete."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from halfopen.errors import UsageError

FORMATS: Final = ("table", "ndjson", "csv", "parquet")

_ENDINGS: Final = {
    "": "table",
    ".txt": "table",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".csv": "csv",
    ".parquet": "parquet",
}


def chosen_format(asked: str | None, out: str | None) -> str:
    """The format asked for, else the one that the ending of the output's name stands for."""
    if asked is not None:
        return asked
    if out is None:
        return "table"
    ending = Path(out).suffix.lower()
    if ending not in _ENDINGS:
        endings = ", ".join(filter(None, _ENDINGS))
        raise UsageError("-o", out, f"a name that ends in {endings}, or --format beside it")
    return _ENDINGS[ending]


@contextmanager
def opened(out: str | None, inputs: list[str]) -> Iterator[IO[bytes]]:
    """A binary stream to write to: standard output for None and ``-``.

    A file is written beside its place and moved there when all went well. Raises UsageError where
    it cannot be written, or is one of the `inputs`.
    """
    if out in (None, "-"):
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    path = Path(str(out)).resolve()
    if path.is_dir():
        raise UsageError("-o", out, "the name of a file, not of a directory")
    if path.exists() and any(path.samefile(each) for each in inputs if os.path.exists(each)):  # noqa: PTH110
        raise UsageError("-o", out, "a file that is not one of the captures")
    special = path.exists() and not path.is_file()  # a device or a pipe keeps its place
    part = path if special else path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        stream = part.open("wb")
    except OSError as error:
        raise UsageError("-o", out, f"a file that can be written ({error.strerror})") from None
    try:
        with stream:
            yield stream
        if not special:
            part.replace(path)
    except BaseException:
        if not special:
            part.unlink(missing_ok=True)
        raise
