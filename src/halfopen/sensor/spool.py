"""Where batches wait for their delivery: numbered files in a directory of the sensor, bounded, exactly as they are sent.

::

    lock                  held by the process that uses the spool
    incarnation           which incarnation the batches are of, and from which number on
    000000000017.batch    a batch that waits; it is there as a whole or not at all
    held                  the head of the one that was forgotten last: numbers go on behind it
    000000000016.damaged  one that could not be read or is taken nowhere, kept for people

Forgetting a batch needs no room and no fsync: what comes back with a power cut is sent again, and found to be held.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import re
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from zlib import crc32

from halfopen.errors import SpoolError
from halfopen.model import SECOND
from halfopen.sensor import incarnation
from halfopen.sensor.batch_file import NEW, Damaged, Head, read, read_head, rows_of, stream_of, write
from halfopen.store.schema import INCOMING

MOST: Final = 1 << 30
"""Bytes that a spool takes on the disk, where nothing else is asked for."""

MEMORY: Final = 64 << 20
"""Bytes of batches that wait in memory while the disk takes none."""

LARGEST: Final = 8 << 20
"""Bytes of rows in a batch; more are put as several."""

_SMALLEST: Final = 1 << 16  # of those bytes, whoever finds batches too large
_BLOCK: Final = 4096  # bytes that a small file takes
_BATCH: Final = re.compile(r"([0-9]{12})\.batch")

_log: Final = logging.getLogger("halfopen.sensor")


@dataclass(frozen=True, slots=True)
class Spooled:
    """A batch as it goes on the wire; what was sent under a sequence stays the same."""

    incarnation: str
    sequence: int
    watermark: int
    since: int | None
    until: int | None
    rate: float
    drops: int
    counters: Mapping[str, int]
    rows: int
    stream: Any  # an Arrow IPC stream, bytes


@dataclass(frozen=True, slots=True)
class _Waiting:
    head: Head  # but for its number
    stream: Any


class Spool:
    """The spool of one sensor. One thread puts and closes, another takes; `put` raises no trouble of the disk."""

    def __init__(self, directory: Path, most: int = MOST, memory: int = MEMORY) -> None:
        """Open the spool in a directory, or make it; SpoolError if it cannot be, or another process uses it."""
        self.directory, self._most, self._memory = directory, most, memory
        self.lost = 0  # connections for which there was no room
        self.spooled = 0  # connections put on the disk
        self.delivered = 0  # connections that are held elsewhere
        self.damaged = 0  # batches that could not be read, or are taken nowhere
        self._changed = threading.Condition()
        self._sizes: dict[int, int] = {}  # bytes of the batches on the disk, by number and in their order
        self._used = 0  # their sum
        self._next = 1  # number of the next batch
        self._held: Head | None = None
        self._piece = 0  # of the first batch
        self._waiting: deque[_Waiting] = deque()  # for the disk
        self._largest = LARGEST
        self._reached: int | None = None  # watermark (s) of what was put last
        self._since: int | None = None  # up to where connections are lost that nobody was told of
        self._told_lost = 0
        self._trouble = ""  # why the disk takes nothing
        self._handle = _lock(directory)
        try:
            self._open()
        except OSError as error:
            os.close(self._handle)
            raise SpoolError(str(directory), error.strerror or str(error)) from error

    @property
    def next(self) -> int:
        """The sequence that the next batch will have."""
        with self._changed:
            return self._incarnation.sequence(self._next)

    @property
    def waits(self) -> int:
        """Batches on the disk."""
        return len(self._sizes)

    @property
    def trouble(self) -> str:
        """Why nothing can be put just now, in words; empty where all is well."""
        return self._trouble or (self._full() if self._told_lost != self.lost else "")

    def put(
        self,
        rows: Any,
        watermark: int,
        *,
        since: int | None = None,
        until: int | None = None,
        rate: float = 1.0,
        drops: int = 0,
        counters: Mapping[str, int] | None = None,
    ) -> bool:
        """Keep rows of `schema.INCOMING`, all of the weight 1 / `rate`, with what `store.committer.Batch` says beside them.

        Whether they are on the disk. Else they wait in memory for the next `put`; or there is no room, and they are lost:
        counted, and the batch that finds room next says that nobody watched so long. The first one of a process must
        say `since` when it watches.
        """
        self._write_waiting()
        kept = True
        for part, reached in self._parts(rows, watermark, since):
            stream = stream_of(part)
            head = Head(
                0,
                reached,
                since,
                until,
                rate,
                drops,
                counters or {},
                part.num_rows,
                stream.size,
                crc32(stream),
            )
            kept = self._keep(head, stream) and kept
            since = until = None
        return kept

    def first(self) -> Spooled | None:
        """The batch that is next, None where there is none; OSError or Damaged if the disk has trouble."""
        if not self._sizes:
            return None
        number = self._first()
        try:
            head, stream = self._read(number)
        except Damaged as error:
            self._mend(number, str(error))
            head, stream = self._read(number)
        now, piece = self._incarnation, self._piece
        sequence, since, watermark, rows = now.sequence(number, piece), head.since, head.watermark, head.rows
        until = head.until
        if since is None and sequence == 1 and now.since is not None:
            since = min(now.since, watermark)  # the clock may have been set back
        if number in now.cuts:
            begin, end = now.span(number, piece, head.rows)
            whole = rows_of(stream)
            part = whole.slice(begin, max(0, end - begin))
            rows, stream = part.num_rows, stream_of(part).to_pybytes()
            if piece:
                since = until = None
            if piece + 1 < now.pieces(number):
                watermark = max(self._floor(head, whole), 0 if until is not None else since or 0)
        return Spooled(
            now.id, sequence, watermark, since, until, head.rate, head.drops, head.counters, rows, stream
        )

    def forget(self, batch: Spooled) -> None:
        """Let go of what is next: it is held elsewhere."""
        number = self._first()
        self.delivered += batch.rows
        if self._piece + 1 < self._incarnation.pieces(number):
            self._piece += 1
            return
        self._piece = 0
        held = self.directory / "held"
        try:
            self._held = read_head(self._path(number))
            self._path(number).replace(held)
            os.truncate(held, len(self._held.line()))
        except (OSError, Damaged) as error:  # it will be sent again, and found to be held
            _log.warning("spool %s: what was delivered cannot be removed: %s", self.directory, error)
        with self._changed:
            self._used -= self._sizes.pop(number)

    def set_aside(self, why: str) -> None:
        """Send an empty batch instead of what is next, which is taken nowhere; OSError if the disk takes nothing."""
        self._mend(self._first(), why)

    def split(self, batch: Spooled) -> bool:
        """Send half of what is next, because it is too large; False if it cannot be split. OSError if the disk takes
        nothing."""
        if batch.rows < 2:
            return False
        number = self._first()
        begin, _ = self._incarnation.span(number, self._piece, 0)
        self._set(self._incarnation.cut(number, self._piece, begin + batch.rows // 2), self._piece)
        self._largest = max(_SMALLEST, len(batch.stream) // 2)
        return True

    def renew(self) -> None:
        """Begin a new incarnation with what is next; OSError if the disk takes nothing."""
        since = self._held.watermark if self._held else None
        with self._changed:
            number = next(iter(self._sizes), self._next)
        self._set(self._incarnation.renewed(number, self._piece, since), 0)

    def wait(self, seconds: float) -> None:
        """Wait until there is a batch."""
        with self._changed:
            self._changed.wait_for(lambda: self._sizes, seconds)

    def close(self) -> None:
        """Let go of the spool; what waits in memory is put on the disk, or lost."""
        self._write_waiting()
        if left := sum(each.head.rows for each in self._waiting):
            self.lost += left
            _log.error("spool %s: %s: %d connections are lost", self.directory, self._trouble, left)
        self._waiting.clear()
        os.close(self._handle)

    # What is put

    def _parts(self, rows: Any, watermark: int, since: int | None) -> Iterator[tuple[Any, int]]:
        """Rows in parts that are not too large, and how far the sensor has come with each."""
        count = max(1, -(-rows.nbytes // self._largest))
        each = max(1, -(-rows.num_rows // count))
        before = max((time for time in (self._reached, since) if time is not None), default=watermark)
        for begin in range(0, max(1, rows.num_rows), each):
            last = begin + each >= rows.num_rows
            yield rows.slice(begin, each), watermark if last else min(before, watermark)
        self._reached = watermark

    def _keep(self, head: Head, stream: Any) -> bool:
        behind = sum(each.stream.size for each in self._waiting)
        too_much = self._used + behind + _blocks(stream.size) > self._most
        if too_much or (self._waiting and behind + stream.size > self._memory):
            self._lose(head)
            return False
        if self._since is not None:
            since = min(head.watermark, max(self._since, head.since or 0))
            head = replace(head, since=since, until=None)
            self._since = None
        self._waiting.append(_Waiting(head, stream))
        if not self._write_waiting():
            return False
        if self._told_lost != self.lost:
            words = "spool %s: there is room again; %d connections were lost"
            _log.warning(words, self.directory, self.lost - self._told_lost)
            self._told_lost = self.lost
        return True

    def _lose(self, head: Head) -> None:
        if head.rows and self._told_lost == self.lost:
            why = self._trouble or self._full()
            _log.error("spool %s: %s: connections are lost until there is room", self.directory, why)
        self.lost += head.rows
        gap = head.watermark if head.rows else head.since
        if gap is not None:
            self._since = max(gap, self._since or 0)

    def _full(self) -> str:
        return f"full, {self._used:,} bytes of {self._most:,}"

    def _write_waiting(self) -> bool:
        """Put on the disk what waits for it; whether all of it is there."""
        while self._waiting:
            waiting = self._waiting[0]
            try:
                self._write(replace(waiting.head, number=self._next), waiting.stream)
            except OSError as error:
                self._tell(error.strerror or str(error))
                return False
            self._waiting.popleft()
            self.spooled += waiting.head.rows
            with self._changed:
                self._sizes[self._next] = _blocks(waiting.stream.size)
                self._used += self._sizes[self._next]
                self._next += 1
                self._changed.notify()
        self._tell("")
        return True

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            words = "spool %s: %s: batches wait in memory, up to %d MiB of them"
            _log.error(words, self.directory, trouble, self._memory >> 20)
        elif self._trouble and not trouble:
            _log.info("spool %s: the disk takes batches again", self.directory)
        self._trouble = trouble

    def _write(self, head: Head, stream: Any) -> None:
        write(self._path(head.number), (head.line(), stream))

    # What is taken

    def _first(self) -> int:
        with self._changed:
            return next(iter(self._sizes))

    def _path(self, number: int) -> Path:
        return self.directory / f"{number:012}.batch"

    def _read(self, number: int) -> tuple[Head, bytes]:
        try:
            head, stream = read(self._path(number))
        except OSError as error:
            if error.errno not in (errno.EIO, errno.ENOENT):
                raise
            raise Damaged(error.strerror) from error
        if head.number != number:
            raise Damaged(f"it is batch {head.number}")
        return head, stream

    def _floor(self, head: Head, rows: Any) -> int:
        """How far the sensor had come before a batch (s)."""
        if self._held is not None:
            return min(self._held.watermark, head.watermark)
        return min(head.watermark, int(rows["start_ns"].to_numpy().min(initial=2**62)) // SECOND)

    def _mend(self, number: int, why: str) -> None:
        """Put an empty batch in the place of one that is lost: nobody watched up to the one behind it."""
        self.damaged += 1
        words = "spool %s: batch %d is damaged (%s), and set aside: its connections are lost"
        _log.error(words, self.directory, number, why)
        try:
            os.link(self._path(number), self.directory / f"{number:012}.damaged")
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EEXIST):
                raise
        behind = self._behind(number)
        now = int(time.time())
        end = min(behind.watermark, now) if behind else now
        told = behind or self._held or Head(0, 0)
        stream = stream_of(INCOMING.empty_table())
        empty = replace(
            told,
            number=number,
            watermark=end,
            since=end,
            until=None,
            rows=0,
            size=stream.size,
            crc=crc32(stream),
        )
        self._write(empty, stream)

    def _behind(self, number: int) -> Head | None:
        """The head of the next batch that has one."""
        with self._changed:
            numbers = [each for each in self._sizes if each > number]
        for each in numbers:
            try:
                return read_head(self._path(each))
            except (OSError, Damaged):
                continue
        return None

    # What is there at first

    def _open(self) -> None:
        found = {}
        for path in self.directory.iterdir():
            if path.name.endswith(NEW):
                path.unlink()
            elif named := _BATCH.fullmatch(path.name):
                found[int(named[1])] = _blocks(path.stat().st_size)
        try:
            self._held = read_head(self.directory / "held")
        except FileNotFoundError:
            pass
        except Damaged as error:
            _log.error("spool %s: the file held is damaged: %s", self.directory, error)
        known = self._read_incarnation()
        before = max(self._held.number if self._held else 0, known.begin - 1 if known else 0)
        for number in [each for each in found if each <= before]:  # delivered, when it could not be removed
            self._path(number).unlink()
            del found[number]
        self._next = max(found, default=before) + 1
        lowest = min(found, default=self._next)
        self._reached = self._held.watermark if self._held else None
        if known and (found or self._held):
            self._incarnation = known
        else:  # or nobody knows which numbers were used
            self._set(incarnation.new(lowest, self._reached), 0)
        for number in range(lowest, self._next):
            self._sizes[number] = found.get(number, _BLOCK)
        self._used = sum(self._sizes.values())
        for number in self._sizes.keys() - found:
            self._mend(number, "it is gone")

    def _read_incarnation(self) -> incarnation.Incarnation | None:
        try:
            return incarnation.decoded((self.directory / "incarnation").read_bytes())
        except FileNotFoundError:
            return None
        except ValueError as error:
            words = "spool %s: the file incarnation is damaged (%s): a new one begins"
            _log.error(words, self.directory, error)
            return None

    def _set(self, fresh: incarnation.Incarnation, piece: int) -> None:
        path = self.directory / "incarnation"
        try:
            write(path, (fresh.encoded(),))
        except OSError:
            if path.read_bytes() != fresh.encoded():  # or the next process would go by another one than this
                raise
        self._incarnation, self._piece = fresh, piece


def _blocks(size: int) -> int:
    """Bytes that a file of this size takes."""
    return -(-size // _BLOCK) * _BLOCK


def _lock(directory: Path) -> int:
    """The lock of a spool, whose directory is made where there is none."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise SpoolError(str(directory), error.strerror or str(error)) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        why = "another process uses this spool; a sensor runs once under each name"
        raise SpoolError(str(directory), why) from error
    return handle
