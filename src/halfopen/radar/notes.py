"""Annotations that are kept: one small file beside the dataset, written whole, read by any number of processes."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from halfopen.errors import StoreError, UsageError
from halfopen.radar.annotations import Annotation

NAME: Final = "annotations.json"


@dataclass(frozen=True, slots=True)
class Note:
    """A kept annotation, known by `id`. `about` names the capture (its digest) that it was written for, if any."""

    id: str
    annotation: Annotation
    about: str = ""


@dataclass(frozen=True, slots=True)
class _Content:
    notes: tuple[Note, ...] = ()
    last: int = 0  # the id given last: none is given twice


class Notes:
    """The annotations in a data directory. Safe to share among threads and processes."""

    def __init__(self, data: Path) -> None:
        self._path = data / NAME
        self._read: tuple[object, _Content] = (None, _Content())

    def all(self) -> Sequence[Note]:
        """Every annotation in the order it was written; the file is read again when it has changed."""
        return self._content().notes

    def add(self, annotation: Annotation, about: str = "") -> Note:
        """Keep an annotation; it is on the disk when this returns."""
        with self._writing():
            content = self._content()
            note = Note(str(content.last + 1), annotation, about)
            self._write(_Content((*content.notes, note), content.last + 1))
        return note

    def remove(self, identifier: str) -> bool:
        """Forget one annotation; whether there was one."""
        return self._drop(lambda note: note.id == identifier)

    def remove_about(self, about: str, but: str = "") -> bool:
        """Forget what was written for a capture, `but` the note of this id; whether there was anything."""
        return self._drop(lambda note: note.about == about and note.id != but)

    def _drop(self, gone: Callable[[Note], bool]) -> bool:
        with self._writing():
            content = self._content()
            kept = tuple(note for note in content.notes if not gone(note))
            if found := len(kept) < len(content.notes):
                self._write(_Content(kept, content.last))
        return found

    def _content(self) -> _Content:
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                # Each writing makes a new file.
                version = (status.st_ino, status.st_mtime_ns, status.st_size)
                known, content = self._read
                if known != version:
                    content = msgspec.json.decode(file.read(), type=_Content)
                    self._read = version, content
                return content
        except FileNotFoundError:
            return _Content()
        except (msgspec.MsgspecError, UsageError, UnicodeDecodeError) as error:
            raise StoreError(str(self._path), f"the file of annotations is damaged: {error}") from error
        except OSError as error:
            raise StoreError(str(self._path), error.strerror or str(error)) from error

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One writer at a time: the kernel lets the lock go when a process dies."""
        try:
            handle = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise StoreError(str(self._path), error.strerror or str(error)) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def _write(self, content: _Content) -> None:
        """Readers see the old file or the new one, never a half."""
        fresh = self._path.with_suffix(".new")
        try:
            with fresh.open("wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(content)) + b"\n")
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise StoreError(str(self._path), error.strerror or str(error)) from error
