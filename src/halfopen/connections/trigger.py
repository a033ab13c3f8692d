"""The name in a client's first bytes: TLS server_name or HTTP/1 Host.

`find_trigger` is the kernel, `read_trigger` the same in plain Python; both stop at the first
contradiction in the order of the bytes, so that they agree on every prefix of every stream.

A ClientHello may lie in any number of TLS records; only a name that itself straddles two of them
is not reported, because its bytes are not contiguous.
Sources: RFC 8446 section 4.1.2 and 5.1, RFC 6066 section 3, RFC 9110 section 7.2, RFC 9112 section 2-5.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, SupportsInt, TypeAlias

import numpy as np

from halfopen.jit import I64, part
from halfopen.model import FIRST_BYTES, Bytes, TriggerKind

NONE: Final = 0
"""No name, and more bytes will not help."""
MORE: Final = 1
"""Plausible so far; more bytes may give a name."""
FOUND: Final = 2

LIMIT: Final = FIRST_BYTES
"""A stream this long (B) is never asked for MORE."""

LONGEST_NAME: Final = 255
LONGEST_METHOD: Final = 32
LONGEST_RECORD: Final = 1 << 14

_SNI: Final = int(TriggerKind.sni)
_HOST: Final = int(TriggerKind.host)
_HANDSHAKE: Final = 22
_CLIENT_HELLO: Final = 1
_SERVER_NAME: Final = 0
_HOST_NAME: Final = 0

# Stand for a number that could not be read.
_NOTHING, _ONE, _TWO, _THREE, _RANDOM = I64(0), I64(1), I64(2), I64(3), I64(32)

_CUT: Final = -1
_BAD: Final = -2

_TOKEN: Final = 1
_HOSTNAME: Final = 2
_ADDRESS: Final = 4
_DIGIT: Final = 8


def _character_classes() -> Bytes:
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    digits = b"0123456789"
    classes = np.zeros(256, np.uint8)
    for bit, members in (
        (_TOKEN, letters + digits + b"!#$%&'*+-.^_`|~"),
        (_HOSTNAME, letters + digits + b"-._"),
        (_ADDRESS, digits + b"ABCDEFabcdef:."),
        (_DIGIT, digits),
    ):
        classes[list(members)] |= bit
    return classes


_CLASSES: Final = _character_classes()

_Found: TypeAlias = "tuple[int, int, int, int]"


@part
def _byte(data: Bytes, at: int) -> int:
    """The byte at `at`, in the signed type of all numbers here."""
    return int(np.int64(data[np.uint64(at)]))


@part
def _record(data: Bytes, end: int, at: int) -> int:
    """Length of the handshake record whose header is at `at`, or _CUT or _BAD."""
    if at + 5 > end:
        return _CUT
    length = _byte(data, at + 3) << 8 | _byte(data, at + 4)
    if (
        _byte(data, at) != _HANDSHAKE
        or _byte(data, at + 1) != 3
        or _byte(data, at + 2) > 4
        or not 0 < length <= LONGEST_RECORD
    ):
        return _BAD
    return length


@part
def _number(data: Bytes, end: int, at: int, left: int, size: int) -> tuple[int, int, int]:
    """The next `size` bytes of the handshake as a number, and the cursor behind them.

    The cursor is (`at`, `left`): a place in `data` and how many bytes of its record are left there.
    """
    value = 0
    for _ in range(size):
        if left == 0:
            left = _record(data, end, at)
            if left < 0:
                return left, at, 0
            at += 5
        if at >= end:
            return _CUT, at, left
        value = value << 8 | _byte(data, at)
        at += 1
        left -= 1
    return value, at, left


@part
def _skip(data: Bytes, end: int, at: int, left: int, count: int) -> tuple[int, int]:
    """The cursor `count` bytes on; before a header that is cut or bad, where the next read fails."""
    while count > left:
        at += left
        count -= left
        left = _record(data, end, at)
        if left < 0:
            return at, 0
        at += 5
    return at + count, left - count


@part
def _failed(value: int) -> _Found:
    """The answer for a number that is missing (MORE) or wrong (NONE)."""
    return MORE if value == _CUT else NONE, 0, 0, 0


@part
def _server_name(data: Bytes, end: int, at: int, left: int, room: int) -> _Found:
    """The name in the server_name extension of `room` bytes at the cursor."""
    if room < 6:
        return NONE, 0, 0, 0
    listed, at, left = _number(data, end, at, left, _TWO)
    if not 3 < listed <= room - 2:
        return _failed(listed)
    kind, at, left = _number(data, end, at, left, _ONE)
    if kind != _HOST_NAME:
        return _failed(kind)
    length, at, left = _number(data, end, at, left, _TWO)
    if not 0 < length <= min(listed - 3, LONGEST_NAME):
        return _failed(length)
    if left == 0:
        left = _record(data, end, at)
        if left < 0:
            return _failed(left)
        at += 5
    if length > left:  # straddles two records
        return NONE, 0, 0, 0
    if at + length > end:
        return MORE, 0, 0, 0
    for i in range(at, at + length):
        if not _CLASSES[_byte(data, i)] & _HOSTNAME:
            return NONE, 0, 0, 0
    return FOUND, _SNI, at, length


@part
def _client_hello(data: Bytes, begin: int, end: int) -> _Found:
    message, at, left = _number(data, end, begin, _NOTHING, _ONE)
    if message != _CLIENT_HELLO:
        return _failed(message)
    room, at, left = _number(data, end, at, left, _THREE)
    if room < 34:
        return _failed(room)
    version, at, left = _number(data, end, at, left, _TWO)
    if version >> 8 != 3:
        return _failed(version)
    at, left = _skip(data, end, at, left, _RANDOM)  # random
    room -= 34
    for size in (1, 2, 1):  # session id, cipher suites, compression methods
        if room < size:
            return NONE, 0, 0, 0
        length, at, left = _number(data, end, at, left, size)
        if length < 0 or length > room - size:
            return _failed(length)
        at, left = _skip(data, end, at, left, length)
        room -= size + length
    if room < 2:
        return NONE, 0, 0, 0
    length, at, left = _number(data, end, at, left, _TWO)
    if length < 0 or length > room - 2:
        return _failed(length)
    room = length
    while room >= 4:
        extension, at, left = _number(data, end, at, left, _TWO)
        if extension < 0:
            return _failed(extension)
        length, at, left = _number(data, end, at, left, _TWO)
        if length < 0 or length > room - 4:
            return _failed(length)
        if extension == _SERVER_NAME:
            return _server_name(data, end, at, left, length)
        at, left = _skip(data, end, at, left, length)
        room -= 4 + length
    return NONE, 0, 0, 0


@part
def _is_request(data: Bytes, at: int, stop: int) -> bool:
    """Whether the line that has a method before `at` ends in a target and ``HTTP/1.x``."""
    tail = stop - 9
    return bool(
        tail > at + 1
        and _byte(data, tail) == 0x20
        and _byte(data, tail + 1) == 0x48  # HTTP/1.
        and _byte(data, tail + 2) == 0x54
        and _byte(data, tail + 3) == 0x54
        and _byte(data, tail + 4) == 0x50
        and _byte(data, tail + 5) == 0x2F
        and _byte(data, tail + 6) == 0x31
        and _byte(data, tail + 7) == 0x2E
        and _CLASSES[_byte(data, tail + 8)] & _DIGIT != 0
    )


@part
def _is_host(data: Bytes, line: int, stop: int) -> bool:
    return bool(
        stop - line >= 5
        and _byte(data, line) | 0x20 == 0x68
        and _byte(data, line + 1) | 0x20 == 0x6F
        and _byte(data, line + 2) | 0x20 == 0x73
        and _byte(data, line + 3) | 0x20 == 0x74
        and _byte(data, line + 4) == 0x3A
    )


@part
def _host(data: Bytes, at: int, stop: int) -> _Found:
    """The name in the Host value _byte(data, at:stop), without white space around it and port."""
    while at < stop and (_byte(data, at) == 0x20 or _byte(data, at) == 0x09):
        at += 1
    while at < stop and (_byte(data, stop - 1) == 0x20 or _byte(data, stop - 1) == 0x09):
        stop -= 1
    i = at
    if at < stop and _byte(data, at) == 0x5B:  # [IPv6 literal]
        i += 1
        while i < stop and _CLASSES[_byte(data, i)] & _ADDRESS:
            i += 1
        if i == at + 1 or i == stop or _byte(data, i) != 0x5D:
            return NONE, 0, 0, 0
        i += 1
    else:
        while i < stop and _CLASSES[_byte(data, i)] & _HOSTNAME:
            i += 1
    length = i - at
    if i < stop and _byte(data, i) == 0x3A:
        i += 1
        while i < stop and _CLASSES[_byte(data, i)] & _DIGIT:
            i += 1
    if i < stop or not 0 < length <= LONGEST_NAME:
        return NONE, 0, 0, 0
    return FOUND, _HOST, at, length


@part
def _request(data: Bytes, begin: int, end: int) -> _Found:
    at = begin
    while at < end and _CLASSES[_byte(data, at)] & _TOKEN:
        at += 1
    if at - begin > LONGEST_METHOD:
        return NONE, 0, 0, 0
    if at == end:
        return MORE, 0, 0, 0
    if at == begin or _byte(data, at) != 0x20:
        return NONE, 0, 0, 0
    method_end = at
    line = begin
    while at < end:
        if _byte(data, at) == 0x0A:
            stop = at - 1 if _byte(data, at - 1) == 0x0D else at
            if line == begin:
                if not _is_request(data, method_end, stop):
                    return NONE, 0, 0, 0
            elif stop <= line:  # the empty line ends the head
                return NONE, 0, 0, 0
            elif _is_host(data, line, stop):
                return _host(data, line + 5, stop)
            line = at + 1
        elif _byte(data, at) < 0x20 and _byte(data, at) != 0x0D and _byte(data, at) != 0x09:
            return NONE, 0, 0, 0
        at += 1
    return MORE, 0, 0, 0


@part
def find_trigger(data: Bytes, start: SupportsInt, length: SupportsInt) -> _Found:
    """Look for a name in _byte(data, start:start + length), the contiguous first bytes of a client's stream.

    Returns (status, kind, offset, name_length): status NONE, MORE or FOUND, kind a
    `model.TriggerKind`, offset (into `data`) and length in bytes of at most 255 hostname
    characters, or of an IPv6 literal in its brackets; the last three are 0 unless FOUND.
    """
    begin = int(np.int64(start))
    size = int(np.int64(length))
    if size == 0:
        return MORE, 0, 0, 0
    end = begin + min(size, LIMIT)
    if _byte(data, begin) == _HANDSHAKE:
        status, kind, offset, name_length = _client_hello(data, begin, end)
    else:
        status, kind, offset, name_length = _request(data, begin, end)
    if status == MORE and size >= LIMIT:
        status = NONE
    return status, kind, offset, name_length


@dataclass(frozen=True, slots=True)
class Trigger:
    """What `read_trigger` answers: status NONE, MORE or FOUND, and the name where one was found."""

    status: int
    kind: TriggerKind = TriggerKind.none
    name: bytes = b""


class _MoreNeededError(Exception):
    pass


class _NoNameError(Exception):
    pass


class _Handshake:
    """Reads handshake bytes out of TLS records; bytes to skip need not be here until one is read behind."""

    def __init__(self, stream: bytes) -> None:
        self.stream = stream  # what follows the current record
        self.fragment = b""  # what is here of the current record
        self.missing = 0  # what is not
        self.skipped = 0

    def next_record(self) -> None:
        header, body = self.stream[:5], self.stream[5:]
        if len(header) < 5:
            raise _MoreNeededError
        length = int.from_bytes(header[3:])
        if header[0] != 22 or header[1] != 3 or header[2] > 4 or not 0 < length <= 2**14:
            raise _NoNameError
        self.fragment, self.stream = body[:length], body[length:]
        self.missing = length - len(self.fragment)

    def take(self, count: int) -> bytes:
        taken = b""
        while len(taken) < count:
            if not self.fragment:
                if self.missing:
                    raise _MoreNeededError
                self.next_record()
                continue
            part = self.fragment[: count - len(taken)]
            self.fragment = self.fragment[len(part) :]
            taken += part
        return taken

    def skip(self, count: int) -> None:
        self.skipped += count

    def number(self, size: int) -> int:
        self.take(self.skipped)
        self.skipped = 0
        return int.from_bytes(self.take(size))

    def length(self, size: int, room: int) -> int:
        """A length field of `size` bytes whose content must end within `room` bytes, itself included."""
        if size > room:
            raise _NoNameError
        length = self.number(size)
        if size + length > room:
            raise _NoNameError
        return length


def _read_client_hello(stream: bytes) -> Trigger:
    handshake = _Handshake(stream)
    if handshake.number(1) != 1:
        raise _NoNameError
    room = handshake.number(3)
    if room < 34:
        raise _NoNameError
    if handshake.number(2) >> 8 != 3:
        raise _NoNameError
    handshake.skip(32)
    room -= 34
    for size in (1, 2, 1):
        length = handshake.length(size, room)
        handshake.skip(length)
        room -= size + length
    extensions = handshake.length(2, room)
    while extensions >= 4:
        extension = handshake.number(2)
        length = handshake.length(2, extensions - 2)
        if extension == 0:
            return _read_server_name(handshake, length)
        handshake.skip(length)
        extensions -= 4 + length
    raise _NoNameError


def _read_server_name(handshake: _Handshake, room: int) -> Trigger:
    if room < 6:
        raise _NoNameError
    listed = handshake.number(2)
    if listed > room - 2 or listed < 4:
        raise _NoNameError
    if handshake.number(1) != 0:
        raise _NoNameError
    length = handshake.number(2)
    if length > listed - 3 or not 1 <= length <= 255:
        raise _NoNameError
    if not handshake.fragment and not handshake.missing:
        handshake.next_record()
    if length > len(handshake.fragment) + handshake.missing:
        raise _NoNameError
    name = handshake.take(length)
    if not re.fullmatch(rb"[A-Za-z0-9._-]+", name):
        raise _NoNameError
    return Trigger(FOUND, TriggerKind.sni, name)


_METHOD: Final = re.compile(rb"[A-Za-z0-9!#$%&'*+.^_`|~-]{0,33}")
_REQUEST_LINE: Final = re.compile(rb"[^ ]+ [^\n]+ HTTP/1\.[0-9]\r?", re.DOTALL)
_HOST_LINE: Final = re.compile(
    rb"host:[ \t]*(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::[0-9]*)?[ \t]*\r?", re.IGNORECASE
)
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def _read_request(stream: bytes) -> Trigger:
    method = _METHOD.match(stream)
    assert method is not None
    if len(method[0]) > 32:
        raise _NoNameError
    if method[0] == stream:
        raise _MoreNeededError
    if not method[0] or stream[method.end()] != 0x20:
        raise _NoNameError
    *lines, rest = stream.split(b"\n")
    for number, line in enumerate(lines):
        if _CONTROL.search(line):
            raise _NoNameError
        if number == 0:
            if not _REQUEST_LINE.fullmatch(line):
                raise _NoNameError
        elif line in (b"", b"\r"):
            raise _NoNameError
        elif line[:5].lower() == b"host:":
            host = _HOST_LINE.fullmatch(line)
            if not host or len(host[1]) > 255:
                raise _NoNameError
            return Trigger(FOUND, TriggerKind.host, host[1])
    if _CONTROL.search(rest):
        raise _NoNameError
    raise _MoreNeededError


def read_trigger(first_bytes: bytes) -> Trigger:
    """Look for a name in the contiguous first bytes of a client's stream, as `find_trigger` does."""
    if not first_bytes:
        return Trigger(MORE)
    stream = first_bytes[:LIMIT]
    try:
        return _read_client_hello(stream) if stream[0] == 22 else _read_request(stream)
    except _MoreNeededError:
        return Trigger(MORE if len(first_bytes) < LIMIT else NONE)
    except _NoNameError:
        return Trigger(NONE)
