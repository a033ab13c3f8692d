"""Makes captures of server traffic for the benchmarks: deterministic, streaming, a few million packets a second.

A connection is one of the scripts of scripts.py, seen at the server. Everything about it (addresses, ports,
sequence numbers, delays, name) follows from its number by a hash, so a capture is the same wherever
and however often it is made. `python benchmarks/traffic.py PROFILE FILE` writes one, and its counts as JSON
beside it.
"""

from __future__ import annotations

import argparse
import json
import struct
from pathlib import Path
from typing import Any, Final

import numba
import numpy as np
from scripts import (
    AGAIN,
    FAR,
    NAMES,
    PROFILES,
    SCRIPTS,
    STEP,
    ZERO,
    Array,
    Profile,
    payloads,
    ports_of,
    steps_of,
)

FIRST: Final = 1_750_000_000 * 1_000_000
"""Time stamp of the capture's beginning, in microseconds; so are all times here."""

ROW: Final = np.dtype(
    [
        ("ts", np.int64),
        ("connection", np.uint64),
        ("seq", np.uint32),
        ("ack", np.uint32),
        ("offset", np.uint32),
        ("length", np.uint32),
        ("ip_id", np.uint16),
        ("port", np.uint16),
        ("server", np.uint8),
        ("flags", np.uint8),
        ("form", np.uint8),
    ],
    align=True,
)


@numba.njit(cache=True)
def mix(number: Any, salt: Any) -> Any:
    """A well-spread 64-bit value for a number and a purpose (splitmix64)."""
    z = np.uint64(number) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(salt) * np.uint64(0xD1B54A32D192ED03)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@numba.njit(cache=True)
def expand(
    first: int,
    last: int,
    rate: int,
    deck: Array,
    bounds: Array,
    ports: Array,
    steps: Array,
    where: Array,
    rows: Array,
) -> int:
    """Rows for the connections first..last, in the order of each connection; their number."""
    count = 0
    for connection in range(first, last):
        script = deck[mix(connection, 1) % np.uint64(len(deck))]
        name = mix(connection, 2) % np.uint64(NAMES)
        port = ports[script, mix(connection, 10) % np.uint64(4)]
        rtt = np.int64(4_000 + mix(connection, 3) % np.uint64(150_000))
        ts = FIRST + connection * 1_000_000 // rate + np.int64(mix(connection, 4) % np.uint64(1_000))
        ids = (np.uint16(mix(connection, 5)), np.uint16(mix(connection, 6)))
        seqs = np.empty(2, np.uint32)
        seqs[0] = np.uint32(mix(connection, 7))
        seqs[1] = np.uint32(mix(connection, 8))
        sent = np.zeros(2, np.uint16)
        before = np.zeros(2, np.uint32)
        last_server = 0
        for at in range(bounds[script], bounds[script + 1]):
            step = steps[at]
            server = step["server"]
            row = rows[count]
            count += 1
            crossing = (
                rtt if last_server and not server else np.int64(40 + mix(connection, 16 + at) % np.uint64(90))
            )
            if step["form"] & FAR:
                crossing = np.int64(300)
            ts += crossing + step["wait"]
            last_server = server
            length = where[step["payload"], name, 1]
            if step["form"] & AGAIN:
                seqs[server] = before[server]
            before[server] = seqs[server]
            sent[server] += np.uint16(1)
            row["ts"] = ts
            row["connection"] = connection
            row["seq"] = seqs[server]
            row["ack"] = seqs[1 - server] if step["flags"] & 16 or step["form"] & FAR else 0
            if step["form"] & ZERO:
                row["ack"] = 0
            row["offset"] = where[step["payload"], name, 0]
            row["length"] = length
            row["ip_id"] = ids[server] + sent[server]
            row["port"] = port
            row["server"] = server
            row["flags"] = step["flags"]
            row["form"] = step["form"]
            seqs[server] += np.uint32(length + np.uint32(step["flags"] & 3 != 0))
    return count


@numba.njit(cache=True, inline="always")
def put(out: Array, at: int, value: Any, size: int) -> None:
    """`value` in `size` bytes, network order."""
    for i in range(size):
        out[at + i] = np.uint8((np.uint64(value) >> np.uint64(8 * (size - 1 - i))) & np.uint64(255))


@numba.njit(cache=True, inline="always")
def ones_sum(out: Array, at: int, end: Any) -> Any:
    """Sum of 16-bit words for the Internet checksum (RFC 1071), not yet folded."""
    total = np.uint64(0)
    for i in range(at, end - 1, 2):
        total += np.uint64(out[i]) << np.uint64(8) | np.uint64(out[i + 1])
    if (end - at) & 1:
        total += np.uint64(out[end - 1]) << np.uint64(8)
    return total


@numba.njit(cache=True, inline="always")
def checksum(total: Any) -> Any:
    """The folded complement of a sum of words."""
    while total >> np.uint64(16):
        total = (total & np.uint64(0xFFFF)) + (total >> np.uint64(16))
    return total ^ np.uint64(0xFFFF)


@numba.njit(cache=True)
def serialise(rows: Array, order: Array, blob: Array, snaplen: int, out: Array) -> Any:
    """The rows as pcap records (Ethernet, IPv4 or one in eight IPv6, TCP), in `order`; the bytes written."""
    end: Any = 0
    for index in order:
        row = rows[index]
        connection = row["connection"]
        server = row["server"]
        far = row["form"] & FAR != 0
        v6 = connection % np.uint64(8) == np.uint64(7)
        syn = row["flags"] & 2 != 0
        stamped = connection % np.uint64(3) == np.uint64(0) and not far
        options = 20 if syn else (12 if stamped else 0)
        length = np.int64(row["length"])
        ip = end + 16 + 14
        tcp = ip + (40 if v6 else 20)
        data = tcp + 20 + options
        stop = data + length
        ts = row["ts"]
        for i, value in enumerate(
            (ts // 1_000_000, ts % 1_000_000, min(stop - end - 16, snaplen), stop - end - 16)
        ):
            for byte in range(4):
                out[end + 4 * i + byte] = np.uint8((np.uint64(value) >> np.uint64(8 * byte)) & np.uint64(255))
        put(out, end + 16, 0x02000000_0001 + server, 6)
        put(out, end + 22, 0x02000000_0002 - server, 6)
        put(out, end + 28, 0x86DD if v6 else 0x0800, 2)
        own, peer = (0, 1) if server else (1, 0)
        address = mix(connection, 9)
        host = address >> np.uint64(32)
        ttl = 64 if server else 40 + connection % np.uint64(20) + np.uint64(60 if far else 0)
        if v6:
            put(out, ip, 0x60000000, 4)
            put(out, ip + 4, stop - tcp, 2)
            out[ip + 6] = 6
            out[ip + 7] = np.uint8(ttl)
            put(out, ip + 8 + 16 * peer, 0x20010DB8_00010000 | host & np.uint64(0xFFFF), 8)
            put(out, ip + 16 + 16 * peer, address, 8)
            put(out, ip + 8 + 16 * own, 0x20010DB8_00000000, 8)
            put(out, ip + 16 + 16 * own, 1 + connection % np.uint64(4), 8)
        else:
            put(out, ip, 0x4500, 2)
            put(out, ip + 2, stop - ip, 2)
            put(out, ip + 4, 0 if far else row["ip_id"], 2)
            put(out, ip + 6, 0x4000, 2)
            out[ip + 8] = np.uint8(ttl)
            out[ip + 9] = 6
            put(out, ip + 10, 0, 2)
            put(out, ip + 12 + 4 * peer, 0xC6120000 | host & np.uint64(0x1FFFF), 4)
            put(out, ip + 12 + 4 * own, 0xC0000201 + connection % np.uint64(4), 4)
            put(out, ip + 10, checksum(ones_sum(out, ip, tcp)), 2)
        port = np.uint64(1_024) + (address & np.uint64(0xFFFF)) % np.uint64(64_000)
        service = np.uint64(row["port"])
        put(out, tcp, service if server else port, 2)
        put(out, tcp + 2, port if server else service, 2)
        put(out, tcp + 4, row["seq"], 4)
        put(out, tcp + 8, row["ack"], 4)
        out[tcp + 12] = np.uint8((20 + options) // 4 << 4)
        out[tcp + 13] = row["flags"]
        put(out, tcp + 14, 0 if row["flags"] & 4 else 64_240, 2)
        put(out, tcp + 16, 0, 4)
        if syn:
            put(out, tcp + 20, 0x020405B4_0402080A, 8)
            put(out, tcp + 28, ts // 1_000 & 0xFFFFFFFF, 4)
            put(out, tcp + 32, 0, 4)
            put(out, tcp + 36, 0x01030307, 4)
        elif stamped:
            put(out, tcp + 20, 0x0101080A, 4)
            put(out, tcp + 24, ts // 1_000 & 0xFFFFFFFF, 4)
            put(out, tcp + 28, ts // 1_000 - 20 & 0xFFFFFFFF, 4)
        offset = np.int64(row["offset"])
        for i in range(length):
            out[data + i] = blob[offset + i]
        addresses = ones_sum(out, ip + 8, tcp) if v6 else ones_sum(out, ip + 12, tcp)
        put(out, tcp + 16, checksum(addresses + np.uint64(6 + stop - tcp) + ones_sum(out, tcp, stop)), 2)
        end = min(stop, end + 16 + snaplen)
    return end


def generate(profile: Profile, path: Path) -> dict[str, int]:
    """Write the capture; its packets, connections and bytes."""
    deck = np.repeat(np.arange(len(SCRIPTS)), [shares[profile.column] for shares, _ in SCRIPTS.values()])
    scripts = [steps_of(script) for _, script in SCRIPTS.values()]
    bounds = np.cumsum([0, *map(len, scripts)])
    ports = np.array([ports_of(script) for _, script in SCRIPTS.values()], np.uint16)
    steps = np.array([step for script in scripts for step in script], STEP)
    blob, where = payloads()
    total = profile.rate * profile.seconds
    chunk = min(total, 20_000)
    longest = max(map(len, scripts))
    fresh = np.empty(chunk * longest, ROW)
    waiting = np.empty(0, ROW)
    piece = 50_000
    out = np.empty(piece * 1_700, np.uint8)
    packets = size = 0
    with path.open("wb") as file:
        size += file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, profile.snaplen, 1))
        for first in range(0, total, chunk):
            last = min(first + chunk, total)
            count = expand(first, last, profile.rate, deck, bounds, ports, steps, where, fresh)
            waiting = np.concatenate((waiting, fresh[:count]))
            until = FIRST + last * 1_000_000 // profile.rate
            ready = waiting["ts"] < until if last < total else np.ones(len(waiting), bool)
            due = waiting[ready]
            waiting = waiting[~ready]
            order = np.argsort(due["ts"], kind="stable")
            for at in range(0, len(order), piece):
                size += file.write(
                    out[: serialise(due, order[at : at + piece], blob, profile.snaplen, out)].data
                )
            packets += len(due)
    return {"packets": packets, "connections": total, "bytes": size}


def main() -> None:
    """Write one profile's capture and its counts."""
    parser = argparse.ArgumentParser(description="Write a benchmark capture.")
    parser.add_argument("profile", choices=PROFILES)
    parser.add_argument("file", type=Path)
    options = parser.parse_args()
    partial = options.file.with_suffix(".partial")
    counts = generate(PROFILES[options.profile], partial)
    partial.replace(options.file)
    options.file.with_suffix(".json").write_text(json.dumps(counts) + "\n")
    print(f"{options.file}: {counts}")


if __name__ == "__main__":
    main()
