"""What happens in the benchmark's captures: the scripts of connections, their payloads, the profiles."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

SCRIPTS: Final = {
    # name: ((share in `mixed`, share in `busy`), steps)
    "tls finished": (
        (34, 8),
        "> S; < SA; > A; > PA hello; < A; < PA reply; > A; > PA data; < PA reply; > A; > FA; < FA; > A",
    ),
    "tls finished, hello in two segments": (
        (3, 0),
        "> S; < SA; > A; > A hello_head; > PA hello_tail; < A; < PA reply; > A; > PA data; < PA reply; > FA; < FA; > A",
    ),
    "tls kept alive for 20 s": (
        (2, 0),
        "> S; < SA; > A; > PA hello; < PA reply; > PA data; < PA reply; > A; > PA data 20000; < PA reply; > FA; < FA; > A",
    ),
    "http finished": (
        (21, 0),
        "> S; < SA; > A; > PA request; < PA page; > A; > FA; < FA; > A",
    ),
    "http closed by the server": (
        (5, 70),
        "> S; < SA; > A; > PA request; < FPA page; > FA; < A",
    ),
    "http closed by a reset of the client": (
        (4, 3),
        "> S; < SA; > A; > PA request; < FPA page; > RA",
    ),
    "second request, then a reset": (
        (5, 2),
        "> S; < SA; > A; > PA hello; < PA reply; > PA data; < PA reply; > A; > PA data; < PA reply; > R",
    ),
    "scan, no answer": (
        (4, 6),
        "> S",
    ),
    "scan refused": (
        (4, 1),
        "> S; < RA",
    ),
    "scan reset by the scanner": (
        (3, 1),
        "> S; < SA; > R",
    ),
    "scan, answered in vain": (
        (2, 2),
        "> S; < SA; < SA 1000 again; < SA 2000 again; < SA 4000 again",
    ),
    "syn repeated, no answer": (
        (2, 1),
        "> S; > S 1000 again; > S 2000 again; > S 4000 again",
    ),
    "handshake, then silence": (
        (2, 2),
        "> S; < SA; > A",
    ),
    "handshake, then a reset": (
        (1, 1),
        "> S; < SA; > A; > R far",
    ),
    "hello, then silence": (
        (3, 2),
        "> S; < SA; > A; > PA hello; < A; < PA reply; < PA reply 300 again; < PA reply 600 again; < PA reply 1200 again",
    ),
    "hello, then one reset": (
        (1, 1),
        "> S; < SA; > A; > PA hello; > R far; < PA reply",
    ),
    "hello, then a reset with ACK": (
        (1, 0),
        "> S; < SA; > A; > PA hello; > RA far; < PA reply",
    ),
    "hello, then three resets with ACK": (
        (1, 0),
        "> S; < SA; > A; > PA hello; > RA far; > RA far; > RA far; < PA reply",
    ),
    "hello, then both kinds of reset": (
        (1, 0),
        "> S; < SA; > A; > PA hello; > R far; > RA far; < PA reply",
    ),
    "hello, then resets with and without an ack number": (
        (1, 0),
        "> S; < SA; > A; > PA hello; > R far; > R far zero",
    ),
}
"""Steps: who (> client, < server), flags, and any of: payload, milliseconds to wait before, `again` (a
repeat), `far` (from another stack: other TTL and IP-ID), `zero` (ack number 0)."""


@dataclass(frozen=True, slots=True)
class Profile:
    """One capture: which column of SCRIPTS, how many connections a second, for how long."""

    column: int
    rate: int
    seconds: int
    snaplen: int


PROFILES: Final = {
    "mixed": Profile(column=0, rate=1_000, seconds=600, snaplen=262_144),
    "mixed-tenth": Profile(column=0, rate=1_000, seconds=60, snaplen=262_144),
    "mixed-long": Profile(column=0, rate=1_000, seconds=6_000, snaplen=262_144),
    "busy": Profile(column=1, rate=20_000, seconds=120, snaplen=96),
    "mixed-hundredth": Profile(column=0, rate=1_000, seconds=6, snaplen=262_144),
    "small": Profile(column=0, rate=1_000, seconds=1, snaplen=262_144),
}

FLAGS: Final = {"F": 1, "S": 2, "R": 4, "P": 8, "A": 16}
AGAIN, FAR, ZERO = 1, 2, 4
FORMS: Final = {"again": AGAIN, "far": FAR, "zero": ZERO}
PAYLOADS: Final = ("", "hello", "request", "hello_head", "hello_tail", "reply", "data", "page")
NAMES: Final = 256
SCANNED: Final = (22, 80, 443, 8080)

STEP: Final = np.dtype(
    [("wait", np.int64), ("server", np.uint8), ("flags", np.uint8), ("payload", np.uint8), ("form", np.uint8)]
)
Array = NDArray[Any]


def client_hello(name: str, padding: int = 0) -> bytes:
    """A TLS 1.2 ClientHello (RFC 5246) with a server name, and as much padding as asked for."""
    host = name.encode()
    extensions = struct.pack("!HHHBH", 0, len(host) + 5, len(host) + 3, 0, len(host)) + host
    extensions += bytes.fromhex("000a0006000400170018 000d0006000404030804 0010000b000908687474702f312e31")
    if padding:
        extensions += struct.pack("!HH", 21, padding) + bytes(padding)
    body = b"\x03\x03" + bytes(range(32)) + b"\0" + bytes.fromhex("000cc02bc02fc02cc030c013c014 0100")
    body += struct.pack("!H", len(extensions)) + extensions
    handshake = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + struct.pack("!H", len(handshake)) + handshake


def tls_record(length: int) -> bytes:
    """A TLS record of `length` bytes of application data."""
    return struct.pack("!BHH", 23, 0x0303, length) + bytes(length)


def payloads() -> tuple[Array, Array]:
    """All payloads in one run of bytes, and where each lies: [kind, name] -> (offset, length)."""
    parts: list[bytes] = []
    places = np.zeros((len(PAYLOADS), NAMES, 2), np.uint32)
    size = 0
    for number in range(NAMES):
        name = f"www.site{number}.example"
        split = client_hello(name, padding=1_200)
        of = {
            "": b"",
            "hello": client_hello(name),
            "request": f"GET /page/{number} HTTP/1.1\r\nHost: {name}\r\nUser-Agent: traffic\r\n\r\n".encode(),
            "page": f"HTTP/1.1 200 OK\r\nContent-Length: {number}\r\n\r\n".encode() + bytes(number),
            "hello_head": split[:1_000],
            "hello_tail": split[1_000:],
            "reply": tls_record(60 + number % 60),
            "data": tls_record(20 + number % 30),
        }
        for kind, payload in enumerate(PAYLOADS):
            places[kind, number] = size, len(of[payload])
            parts.append(of[payload])
            size += len(of[payload])
    return np.frombuffer(b"".join(parts), np.uint8), places


def steps_of(script: str) -> list[tuple[int, int, int, int, int]]:
    """Rows of STEP for one script."""
    rows = []
    for step in script.split(";"):
        who, flags, *words = step.split()
        wait = sum(int(word) for word in words if word.isdigit()) * 1_000
        payload = next((PAYLOADS.index(word) for word in words if word in PAYLOADS), 0)
        form = sum(FORMS.get(word, 0) for word in words)
        rows.append((wait, int(who == "<"), sum(FLAGS[flag] for flag in flags), payload, form))
    return rows


def ports_of(script: str) -> tuple[int, ...]:
    """Where a script's connections go: HTTP to 80, TLS to 443, scans to any of SCANNED."""
    return (80,) * 4 if "request" in script else (443,) * 4 if "hello" in script else SCANNED
