"""A resolver that answers what a zone file says, over UDP, and nothing else (RFC 1035, RFC 2782)."""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

Records = dict[tuple[str, int], list[bytes]]

_KINDS = {"A": 1, "TXT": 16, "AAAA": 28, "SRV": 33}
_LINE = re.compile(r"(\S+)\. \d+ IN (A|AAAA|SRV|TXT) (.+)")


def read(lines: Sequence[str]) -> Records:
    """The data of records by name and type."""
    found: Records = defaultdict(list)
    for line in lines:
        told = _LINE.fullmatch(line)
        assert told, line
        name, kind, data = told.groups()
        found[name, _KINDS[kind]].append(_data(kind, data))
    return found


def _data(kind: str, text: str) -> bytes:
    if kind == "SRV":
        priority, weight, port, target = text.split()
        return struct.pack("!HHH", int(priority), int(weight), int(port)) + _name(target.rstrip("."))
    if kind == "TXT":
        assert text[0] == text[-1] == '"'
        said = re.sub(r"\\(.)", r"\1", text[1:-1]).encode()
        assert len(said) < 256
        return bytes([len(said)]) + said
    return socket.inet_pton(socket.AF_INET if kind == "A" else socket.AF_INET6, text)


def _name(name: str) -> bytes:
    return b"".join(bytes([len(each)]) + each.encode() for each in name.split(".")) + b"\0"


def answer(records: Records, asked: bytes) -> bytes:
    """What a question gets: the records, or that there is no such name."""
    labels, at = [], 12
    while length := asked[at]:
        labels.append(asked[at + 1 : at + 1 + length].decode().lower())
        at += 1 + length
    (kind,) = struct.unpack_from("!H", asked, at + 1)
    name, question = ".".join(labels), asked[12 : at + 5]
    known = any(name == each for each, _ in records)
    found = records.get((name, kind), [])
    head = asked[:2] + struct.pack("!HHHHH", 0x8580 | (0 if known else 3), 1, len(found), 0, 0)
    told = [struct.pack("!HHHIH", 0xC00C, kind, 1, 300, len(data)) + data for data in found]
    return head + question + b"".join(told)


@contextmanager
def resolving(lines: Sequence[str], address: tuple[str, int]) -> Iterator[None]:
    """A resolver of the records at an address."""
    records = read(lines)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.bind(address)

        def serve() -> None:
            while len((asked := link.recvfrom(4096))[0]) > 12:
                link.sendto(answer(records, asked[0]), asked[1])

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield
        finally:
            link.sendto(b"", address)
            thread.join()
