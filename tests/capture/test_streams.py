"""Compressed captures: members and frames, and damage that costs only what follows it."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import pytest
import zstandard

from halfopen.capture.source import Capture
from halfopen.model import Counter
from tests.capture.layers import ethernet, ipv4, pcap, record, tcp

PACKETS = 3000
CAPTURE = pcap(*(record(i, ethernet(ipv4(tcp(b"%08d" % (i * i))))) for i in range(PACKETS)))
SKIPPABLE = b"\x53\x2a\x4d\x18\x05\0\0\0hello"


def members(pieces: int) -> list[bytes]:
    size = len(CAPTURE) // pieces + 1
    return [CAPTURE[at : at + size] for at in range(0, len(CAPTURE), size)]


def gzip_member(data: bytes, flags: int) -> bytes:
    """A member with every optional field of the header that `flags` name."""
    deflater = zlib.compressobj(wbits=-15)
    header = b"\x1f\x8b\x08" + bytes([flags]) + bytes(6)
    header += b"\x04\0abcd" if flags & 4 else b""
    header += b"name\0" if flags & 8 else b""
    header += b"a comment\0" if flags & 16 else b""
    header += b"\0\0" if flags & 2 else b""
    trailer = zlib.crc32(data).to_bytes(4, "little") + len(data).to_bytes(4, "little")
    return header + deflater.compress(data) + deflater.flush() + trailer


def zstd(data: bytes, **options: bool) -> bytes:
    return zstandard.ZstdCompressor(**options).compress(data)  # type: ignore[arg-type]


def read(path: Path, data: bytes) -> Capture:
    path.write_bytes(data)
    capture = Capture(str(path), [str(path)])
    for batch in capture.batches():
        assert len(batch.rows)
    return capture


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(CAPTURE),
        b"".join(map(gzip.compress, members(7))) + bytes(512),
        gzip_member(CAPTURE, 2 | 4 | 8 | 16),
        gzip.compress(CAPTURE, compresslevel=0),
        zstd(CAPTURE),
        zstd(CAPTURE, write_checksum=True, write_content_size=False),
        SKIPPABLE + SKIPPABLE.join(map(zstandard.compress, members(7))) + SKIPPABLE,
    ],
)
def test_the_same_capture_out_of_any_compression(data: bytes, tmp_path: Path) -> None:
    capture = read(tmp_path / "x", data)
    assert capture.problems == []
    assert capture.counters[Counter.tcp] == PACKETS


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_a_cut_stream_gives_what_was_there(compress: object, tmp_path: Path) -> None:
    assert callable(compress)
    whole = compress(CAPTURE[: len(CAPTURE) // 2]) + compress(CAPTURE[len(CAPTURE) // 2 :])
    for cut in (2, 7, 9, len(whole) // 2, len(whole) - 9, len(whole) - 1):
        capture = read(tmp_path / "x", whole[:-cut])
        (damage,) = capture.problems
        assert "expected the rest of a" in damage.expected
        assert capture.counters[Counter.tcp] >= (PACKETS // 2 - 1 if cut < len(whole) // 2 else 0)


@pytest.mark.parametrize("flipped", [1, 5])
def test_a_wrong_checksum_comes_after_every_packet(flipped: int, tmp_path: Path) -> None:
    data = bytearray(gzip.compress(CAPTURE))
    data[-flipped] ^= 1
    capture = read(tmp_path / "x", bytes(data))
    assert capture.counters[Counter.tcp] == PACKETS
    (damage,) = capture.problems
    assert (damage.offset, "checksum" in damage.expected) == (len(CAPTURE), True)


def test_a_wrong_zstd_checksum_comes_after_every_packet(tmp_path: Path) -> None:
    data = bytearray(zstd(CAPTURE, write_checksum=True))
    data[-1] ^= 1
    capture = read(tmp_path / "x", bytes(data))
    assert capture.counters[Counter.tcp] == PACKETS
    assert len(capture.problems) == 1


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_what_follows_a_stream_must_be_another(compress: object, tmp_path: Path) -> None:
    assert callable(compress)
    capture = read(tmp_path / "x", compress(CAPTURE) + b"something else")
    assert capture.counters[Counter.tcp] == PACKETS
    (damage,) = capture.problems
    assert (damage.offset, "expected another" in damage.expected) == (len(CAPTURE), True)


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_no_flipped_bit_stops_the_reader(compress: object, tmp_path: Path) -> None:
    assert callable(compress)
    data = compress(CAPTURE[: len(CAPTURE) // 2]) + compress(CAPTURE[len(CAPTURE) // 2 :])
    for at in range(0, len(data), 211):
        broken = bytearray(data)
        broken[at] ^= 0x10
        read(tmp_path / "x", bytes(broken))


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_a_bomb_is_streamed(compress: object, tmp_path: Path) -> None:
    assert callable(compress)
    bomb = compress(CAPTURE + bytes(64 << 20))
    capture = read(tmp_path / "x", bomb)
    assert capture.counters[Counter.packets] == PACKETS + (64 << 20) // 16
