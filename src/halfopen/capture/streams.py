"""Bytes of a capture file, plain or out of gzip (RFC 1952) or Zstandard (RFC 8878).

The kind of compression is told by the first bytes. A damaged stream raises `OSError` with what was
expected, after the bytes before the damage were handed on; of a deflate stream that contradicts
itself at most the last 128 KiB before that are lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import zstandard
from isal import isal_zlib
from isal.igzip_lib import IsalError

STANDARD_INPUT: Final = "-"

_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_CHUNK: Final = 1 << 17
_PIECE: Final = 1 << 16
_LONGEST_TEXT: Final = 1 << 16


class CaptureFile:
    """A file as it lies there, opened and read once from front to back.

    `taken` bytes of it have been read.
    """

    def __init__(self, path: str) -> None:
        standard_input = path == STANDARD_INPUT
        self._file = open(0 if standard_input else path, "rb", closefd=not standard_input)  # noqa: SIM115
        self.taken = 0
        self._given_back = b""

    def close(self) -> None:
        """Close the file; standard input stays open."""
        self._file.close()

    def readinto(self, buffer: memoryview) -> int:
        """Read what is there, at least one byte unless the file has ended."""
        if self._given_back:
            size = min(len(buffer), len(self._given_back))
            buffer[:size] = self._given_back[:size]
            self._given_back = self._given_back[size:]
            return size
        read = self._file.readinto1(buffer)
        self.taken += read
        return read

    def take(self, size: int) -> bytes:
        """Up to `size` bytes; fewer only at the end of the file."""
        taken, self._given_back = self._given_back[:size], self._given_back[size:]
        if len(taken) < size:
            rest = self._file.read(size - len(taken))
            self.taken += len(rest)
            taken += rest
        return taken

    def exactly(self, size: int, what: str) -> bytes:
        """`size` bytes, or an `OSError` that misses `what`."""
        taken = self.take(size)
        if len(taken) < size:
            raise OSError(f"expected the rest of {what}")
        return taken

    def give_back(self, data: bytes) -> None:
        """Let the next read begin with `data` again."""
        self._given_back = data + self._given_back


class _Chunks:
    """A stream made of chunks of bytes."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._chunk = b""

    def readinto(self, buffer: memoryview) -> int:
        while not self._chunk:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._chunk = chunk
        size = min(len(buffer), len(self._chunk))
        buffer[:size] = self._chunk[:size]
        self._chunk = self._chunk[size:]
        return size


def decompressed(file: CaptureFile) -> CaptureFile | _Chunks:
    """The stream in `file`, out of its compression if it has one."""
    head = file.take(4)
    file.give_back(head)
    if head.startswith(_GZIP):
        return _Chunks(_gzip_members(file))
    if head == _ZSTD or _is_skippable(head):
        return _Chunks(_zstd_frames(file))
    return file


def beginning(path: Path, size: int) -> bytes:
    """The first `size` bytes of the stream in a file, fewer where it has fewer or is damaged.

    Raises `OSError` for a file that cannot be opened.
    """
    head = b""
    file = CaptureFile(str(path))
    try:
        stream = decompressed(file)
        buffer = bytearray(size)
        while len(head) < size and (read := stream.readinto(memoryview(buffer)[len(head) :])):
            head = bytes(buffer[: len(head) + read])
    except OSError:
        pass
    finally:
        file.close()
    return head


def _gzip_members(file: CaptureFile) -> Iterator[bytes]:
    while magic := file.take(2):
        if magic == _GZIP:
            _pass_gzip_header(file)
            yield from _inflated(file)
        elif magic.strip(b"\0"):  # zeros are padding
            raise OSError("expected another gzip member or the end of the file")


def _pass_gzip_header(file: CaptureFile) -> None:
    what = "a gzip header"
    method, flags = file.exactly(8, what)[:2]
    if method != 8 or flags & 0xE0:
        raise OSError("expected a gzip header of known method and flags")
    if flags & 4:
        file.exactly(int.from_bytes(file.exactly(2, what), "little"), what)
    for flag in (8, 16):  # name and comment, each ended by a zero
        if flags & flag:
            _pass_text(file, what)
    if flags & 2:
        file.exactly(2, what)


def _pass_text(file: CaptureFile, what: str) -> None:
    for _ in range(_LONGEST_TEXT):
        if file.exactly(1, what) == b"\0":
            return
    raise OSError(f"expected a name or comment of at most {_LONGEST_TEXT} bytes in {what}")


def _inflated(file: CaptureFile) -> Iterator[bytes]:
    """One deflate stream and its trailer; the checksum is ours, so that it comes after the bytes."""
    inflater = isal_zlib.decompressobj(wbits=-15)
    checksum = length = 0
    chunk = b""
    while not inflater.eof:
        piece = inflater.unconsumed_tail
        if not piece and len(chunk) < _CHUNK:
            piece = file.take(_PIECE)
            if not piece:
                raise OSError("expected the rest of a gzip member")
        try:
            chunk = inflater.decompress(piece, _CHUNK)
        except IsalError as error:  # type: ignore[misc]
            raise OSError(f"expected valid deflate data ({error})") from error
        checksum = isal_zlib.crc32(chunk, checksum)
        length += len(chunk)
        yield chunk
    file.give_back(inflater.unused_data)
    trailer = file.exactly(8, "a gzip trailer")
    if trailer != checksum.to_bytes(4, "little") + (length & 0xFFFFFFFF).to_bytes(4, "little"):
        raise OSError("expected data that fits the checksum and length of the gzip member")


def _is_skippable(magic: bytes) -> bool:
    return len(magic) == 4 and magic[0] & 0xF0 == 0x50 and magic[1:] == b"\x2a\x4d\x18"


def _zstd_frames(file: CaptureFile) -> Iterator[bytes]:
    while magic := file.take(4):
        if magic == _ZSTD:
            yield from _zstd_blocks(file)
        elif _is_skippable(magic):
            left = int.from_bytes(file.exactly(4, "a zstd frame"), "little")
            while left:
                left -= len(file.exactly(min(left, _CHUNK), "a zstd frame"))
        else:
            raise OSError("expected another zstd frame or the end of the file")


def _zstd_blocks(file: CaptureFile) -> Iterator[bytes]:
    """One frame, block by block: none makes more than 128 KiB, and damage costs only its own block."""
    what = "a zstd frame"
    inflater = zstandard.ZstdDecompressor().decompressobj()
    descriptor = file.exactly(1, what)
    single_segment = descriptor[0] >> 5 & 1
    header = (1 - single_segment) + (0, 1, 2, 4)[descriptor[0] & 3]
    header += (single_segment, 2, 4, 8)[descriptor[0] >> 6]
    try:
        inflater.decompress(_ZSTD + descriptor + file.exactly(header, what))
        last = 0
        while not last:
            block = file.exactly(3, what)
            fields = int.from_bytes(block, "little")
            last, kind, size = fields & 1, fields >> 1 & 3, fields >> 3
            yield inflater.decompress(block + file.exactly(1 if kind == 1 else min(size, _CHUNK), what))
        if descriptor[0] & 4:
            inflater.decompress(file.exactly(4, what))
    except zstandard.ZstdError as error:
        raise OSError(f"expected a valid zstd frame ({error})") from error
