"""Where a store lies: a local directory or a prefix of an object store, behind one set of operations."""

from __future__ import annotations

import os
from collections.abc import Iterator
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
answer to any of the attempts (delta-rs)."""


class Place:
    """One directory, local or remote. Keys and endpoints of an object store come from the environment."""

    def __init__(self, where: str | Path) -> None:
        text = str(where)
        self.local: Path | None = None if "://" in text else Path(text).absolute()
        if urlsplit(text).scheme == "file":
            self.local = Path(urlsplit(text).path)
        if self.local and set("*?[") & set(str(self.local)):
            raise StoreError(text, "a store's path must not contain *, ? or [")  # DuckDB would expand them
        if not self.local and urlsplit(text).scheme not in ("s3", "s3a"):
            raise StoreError(text, "a store lies in a directory or at s3://bucket/prefix")
        self.uri = str(self.local) if self.local else text.rstrip("/")
        self._files: Any = None

    def __truediv__(self, name: str) -> Place:
        return Place(f"{self.uri}/{name}")

    @property
    def files(self) -> Any:
        """The `pyarrow.fs.FileSystem` whose root is this place."""
        if self._files is None:
            if self.local:
                self._files = pa.fs.SubTreeFileSystem(self.uri, pa.fs.LocalFileSystem())
            else:
                # Arrow's own, not delta-rs's: that one is Python to Arrow, and threads that read through it
                # can wait for the interpreter's lock and for each other at once.
                url = urlsplit(self.uri)
                try:
                    self._files = pa.fs.SubTreeFileSystem(f"{url.netloc}{url.path}", _s3())
                except (OSError, ValueError) as error:
                    raise StoreError(self.uri, str(error)) from error
        return self._files

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
        """Make the directory, durably; nothing to do in an object store."""
        if self.local and not self.local.is_dir():
            try:
                self.local.mkdir(parents=True)
            except OSError as error:
                raise StoreError(self.uri, error.strerror or str(error)) from error
            sync(self.local.parent)

    def read(self, name: str) -> bytes | None:
        """The bytes of one file; None where there is none."""
        if self.local:
            try:
                return (self.local / name).read_bytes()
            except FileNotFoundError:
                return None
            except OSError as error:
                raise StoreError(self.uri, error.strerror or str(error)) from error
        try:
            with self.files.open_input_stream(name) as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(self.uri, str(error)) from error

    def write(
        self, name: str, parts: Iterator[Any], repeating: bool | list[str] = True, *, replace: bool = False
    ) -> int:
        """Write a Parquet file, each part (a table) as a row group while it comes; gives its size (bytes).

        It is on the disk when this returns. `repeating` are the columns that get dictionaries, True for all. With
        `replace` readers see the old file or the new one, never a half.
        """
        try:
            if not self.local:
                _write(self.files.open_output_stream(name), parts, repeating)
                return int(self.files.get_file_info(name).size)
            target = self.local / name
            if not target.parent.is_dir():
                for folder in reversed([target.parent, *target.parent.parents]):
                    if not folder.is_dir():
                        folder.mkdir(exist_ok=True)
                        sync(folder.parent)
            path = target.with_name(f".{target.name}.new") if replace else target
            # A file of Arrow's own: each write to one of Python's waits for the interpreter.
            _write(pa.OSFile(str(path), "wb"), parts, repeating)
            sync(path)
            size = path.stat().st_size
            if replace:
                path.replace(target)
            sync(target.parent)
            return size
        except OSError as error:
            raise StoreError(self.uri, error.strerror or str(error)) from error


def _write(sink: Any, parts: Iterator[Any], repeating: bool | list[str]) -> None:
    first = next(parts)
    with (
        sink,
        pa.parquet.ParquetWriter(
            sink,
            first.schema,
            compression=COMPRESSION,
            use_dictionary=repeating,
            store_schema=False,  # else text that comes dictionary-encoded would be read so
        ) as writer,
    ):
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
