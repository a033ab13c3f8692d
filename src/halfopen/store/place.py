"""Where a store lies: a local directory or a prefix of an object store, behind one set of operations."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet

from halfopen.errors import StoreError

COMPRESSION = "zstd"

CONNECT_TIMEOUT: Final = 5
SILENCE: Final = 10
REQUEST_TIMEOUT: Final = 30
RETRY_TIMEOUT: Final = 60
"""Seconds after which an object store is given up: no connection, not a byte (three times: Arrow), no whole answer, no
answer to any of the attempts (delta-rs and obstore)."""

_MISREAD: Final = re.compile("[*?[]|%[0-9A-Fa-f]{2}")
"""What DuckDB expands in a path, and what delta-rs takes for another character."""


class Overtaken(Exception):  # noqa: N818 - not a fault: the caller looks again and decides again
    """Somebody else wrote first."""


class Place:
    """One directory, local or remote. Keys and endpoints of an object store come from the environment."""

    def __init__(self, where: str | Path) -> None:
        text = str(where)
        self.local: Path | None = None if "://" in text else Path(text).absolute()
        if urlsplit(text).scheme == "file":
            self.local = Path(urlsplit(text).path)
        if self.local and _MISREAD.search(str(self.local)):
            raise StoreError(text, "a store's path must not contain *, ?, [ or an escape such as %20")
        if not self.local and urlsplit(text).scheme not in ("s3", "s3a"):
            raise StoreError(text, "a store lies in a directory or at s3://bucket/prefix")
        self.uri = str(self.local) if self.local else text.rstrip("/")

    def __truediv__(self, name: str) -> Place:
        return Place(f"{self.uri}/{name}")

    @cached_property
    def files(self) -> Any:
        """The `pyarrow.fs.FileSystem` whose root is this place of an object store, for datasets to be read through."""
        # Arrow's own, not delta-rs's or obstore's: those are Python to Arrow, and threads that read through it
        # can wait for the interpreter's lock and for each other at once.
        url = urlsplit(self.uri)
        with self._told():
            return pa.fs.SubTreeFileSystem(f"{url.netloc}{url.path}", _s3())

    @cached_property
    def _objects(self) -> Any:
        """The `obstore.store.S3Store` whose root is this place, for all but datasets."""
        import obstore.store  # only where there is an object store: it takes a while

        url = urlsplit(self.uri)
        with self._told():
            return obstore.store.S3Store(
                url.netloc,
                prefix=url.path.strip("/") or None,
                client_options={
                    "connect_timeout": timedelta(seconds=CONNECT_TIMEOUT),
                    "timeout": timedelta(seconds=REQUEST_TIMEOUT),
                    "allow_http": _endpoint().startswith("http://"),
                },
                retry_config={"retry_timeout": timedelta(seconds=RETRY_TIMEOUT)},
            )

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell what goes wrong meanwhile as a StoreError."""
        try:
            yield
        except self._faults() as error:
            reason = getattr(error, "strerror", None) or str(error).partition("\n")[0]
            raise StoreError(self.uri, reason) from error

    def _faults(self) -> tuple[type[Exception], ...]:
        if self.local:
            return (OSError,)
        from obstore.exceptions import BaseError

        return OSError, ValueError, BaseError

    @property
    def options(self) -> dict[str, str]:
        """What delta-rs is told beside the environment."""
        if self.local:
            return {}
        options = {
            "connect_timeout": f"{CONNECT_TIMEOUT}s",
            "timeout": f"{REQUEST_TIMEOUT}s",
            "retry_timeout": f"{RETRY_TIMEOUT}s",
        }
        return options | ({"allow_http": "true"} if _endpoint().startswith("http://") else {})

    def make(self) -> None:
        """Make the directory, durably and readable by its owner alone; one that is there keeps its mode, and there is
        nothing to do in an object store."""
        if self.local and not self.local.is_dir():
            with self._told():
                self.local.parent.mkdir(parents=True, exist_ok=True)
                self.local.mkdir(mode=0o700)
            sync(self.local.parent)

    def mark(self, name: str) -> str | None:
        """What tells the content of a file from all that it had before or will have; None where there is no file."""
        with self._told():
            try:
                if self.local:
                    return _mark((self.local / name).stat())
                import obstore

                return _tag(obstore.head(self._objects, name))
            except FileNotFoundError:
                return None

    def read(self, name: str) -> tuple[bytes, str] | None:
        """The bytes of one file, and the mark of this content; None where there is none."""
        with self._told():
            try:
                if self.local:
                    with (self.local / name).open("rb") as file:
                        return file.read(), _mark(os.fstat(file.fileno()))
                import obstore

                found = obstore.get(self._objects, name)
                return bytes(found.bytes()), _tag(found.meta)
            except FileNotFoundError:
                return None

    def replace(self, name: str, content: bytes, mark: str | None) -> str:
        """Put a new content in the place of the one with a mark, or where there was no file, and give its mark.

        It is on the disk when this returns; readers see the old content or the new one, never a half. Overtaken if
        the mark is not that of the content any more; of two writers to an object store one always is, local ones
        must not write at once.
        """
        if self.local:
            if self.mark(name) != mark:
                raise Overtaken(name)
            fresh = self.local / f".{name}.new"
            with self._told():
                with fresh.open("wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                    mark = _mark(os.fstat(file.fileno()))
                fresh.replace(self.local / name)
                sync(self.local)
                return mark
        import obstore
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with self._told():
            try:
                return _tag(
                    obstore.put(self._objects, name, content, mode={"e_tag": mark} if mark else "create")
                )
            except (AlreadyExistsError, PreconditionError) as error:
                raise Overtaken(name) from error

    def write(self, name: str, parts: Iterator[Any], repeating: Sequence[str]) -> int:
        """Write a new Parquet file, each part (a table) as a row group while it comes, and give its size (bytes).

        Columns named in `repeating` get dictionaries. The file is on the disk when this returns.
        """
        with self._told():
            if self.local:
                return self._write(self.local / name, parts, repeating)
            import obstore

            sink = pa.BufferOutputStream()
            _write(sink, parts, repeating)
            content = memoryview(sink.getvalue()).cast("B")
            obstore.put(self._objects, name, content)
            return content.nbytes

    def _write(self, target: Path, parts: Iterator[Any], repeating: Sequence[str]) -> int:
        if not target.parent.is_dir():
            for folder in reversed([target.parent, *target.parent.parents]):
                if not folder.is_dir():
                    folder.mkdir(exist_ok=True)
                    sync(folder.parent)
        # A file of Arrow's own: each write to one of Python's waits for the interpreter.
        with pa.OSFile(str(target), "wb") as file:
            _write(file, parts, repeating)
        sync(target)
        sync(target.parent)
        return target.stat().st_size


def _mark(found: os.stat_result) -> str:
    return f"{found.st_ino}.{found.st_mtime_ns}.{found.st_size}"


def _tag(found: Any) -> str:
    if not found["e_tag"]:
        raise OSError("this object store tells no ETags, which are needed here")
    return str(found["e_tag"])


def _write(sink: Any, parts: Iterator[Any], repeating: Sequence[str]) -> None:
    first = next(parts)
    with pa.parquet.ParquetWriter(
        sink,
        first.schema,
        compression=COMPRESSION,
        use_dictionary=list(repeating),
        store_schema=False,  # else text that comes dictionary-encoded would be read so
    ) as writer:
        for part in chain([first], parts):
            writer.write_table(part)


def _endpoint() -> str:
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")  # those that delta-rs knows
    return next(filter(None, map(os.environ.get, names)), "")


def _s3() -> Any:
    """Arrow's S3; keys it finds in the environment itself."""
    endpoint = urlsplit(_endpoint())
    return pa.fs.S3FileSystem(
        region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
        scheme=endpoint.scheme or "https",
        endpoint_override=f"{endpoint.netloc}{endpoint.path.rstrip('/')}" or None,
        connect_timeout=CONNECT_TIMEOUT,
        request_timeout=SILENCE,
        allow_delayed_open=True,  # small files in one request
    )


def sync(path: Path) -> None:
    """What was written to a file or a directory is on the disk when this returns."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
