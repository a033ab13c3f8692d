"""The demo: a minute of two servers' traffic from a dozen networks, some of which do things to it.

Real clients and servers on two kernels; the middlebox drops by nftables rules and injects when it
sees a name it waits for. Which network has which habit is written below; names and networks are
for documentation only.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import random
import socket
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Final

from halfopen.testing import packets
from halfopen.testing.packets import ACK, RST, RST_ACK, SYN
from halfopen.testing.payloads import client_hello, http_answer, http_request
from halfopen.testing.pcap import Frame, pcap
from halfopen.testing.play import free_bind, reset
from halfopen.testing.recorder import Recorder, Seen, seen
from halfopen.testing.testbed import TestBed

HOW: Final = (
    "Real clients and servers in the test bed for a minute; the middlebox drops and injects by network."
)
SECONDS: Final = 50
QUIET: Final = 12
"""At the end only ordinary visits are made, so that the silences before can be judged."""

SERVERS: Final = ("203.0.113.200", "2001:db8:ffff::200")
NAMES: Final = ("news.example", "shop.example", "video.example", "mail.example", "map.test", "wiki.test")
WATCHED: Final = "forum.example"

STORY: Final = """
table inet story {
  chain forward {
    type filter hook forward priority 10;
    # AS64497: half of its customers have used up their data; nothing after the handshake arrives.
    ip saddr 192.0.2.96/27 ct original packets > 2 drop
    # AS64500: some lose their path after the first data.
    ip saddr 198.51.100.32/28 ct original packets > 3 drop
    # AS64502: a filter swallows the first data (and sends a RST, see below).
    ip saddr 198.51.100.160/27 ct original packets > 2 drop
    # AS64503: SYN-ACKs do not come back to some.
    ip daddr 198.51.100.224/27 tcp flags & (syn | ack) == (syn | ack) drop
    # AS64505: a scanner with a filter before its own kernel's RSTs.
    ip saddr 203.0.113.96/27 tcp flags & rst == rst drop
    # AS64506: as AS64497, over IPv6.
    ip6 saddr 2001:db8:2:1::/64 ct original packets > 2 drop
  }
}
"""

# Client addresses (first, last), visits a minute, share of visits to WATCHED, habit of its people.
NETWORKS: Final = (
    # AS64496: nothing special.
    ("192.0.2.10", "192.0.2.60", 150, 0.0, "plain"),
    ("2001:db8:1::10", "2001:db8:1::90", 110, 0.0, "plain"),
    # AS64497: nothing after the handshake from the upper half, which has used up its data.
    ("192.0.2.70", "192.0.2.125", 140, 0.0, "plain"),
    # AS64498: people close tabs.
    ("192.0.2.130", "192.0.2.190", 160, 0.0, "tabs"),
    # AS64499: three RST+ACK at a name.
    ("192.0.2.200", "192.0.2.250", 120, 0.3, "plain"),
    # AS64500: two RSTs at a name; silence after the first data for some.
    ("198.51.100.5", "198.51.100.60", 120, 0.15, "plain"),
    # AS64501: one RST at a name.
    ("198.51.100.70", "198.51.100.120", 110, 0.25, "http"),
    # AS64502: a RST instead of the first data for some.
    ("198.51.100.130", "198.51.100.190", 110, 0.0, "plain"),
    # AS64503: no SYN-ACK for some; a RST at a second request.
    ("198.51.100.200", "198.51.100.250", 90, 0.0, "plain"),
    # AS64504: people close tabs.
    ("203.0.113.5", "203.0.113.60", 90, 0.0, "tabs"),
    # AS64506: RST and RST+ACK at a name; nothing after the handshake from some.
    ("2001:db8:2::10", "2001:db8:2::40", 60, 0.3, "plain"),
    ("2001:db8:2:1::10", "2001:db8:2:1::30", 40, 0.0, "plain"),
    # A network no source knows.
    ("2001:db8:3::10", "2001:db8:3::20", 30, 0.0, "plain"),
)
# AS64505: scanners, SYNs a minute.
SCANNERS: Final = (("203.0.113.70", 80), ("203.0.113.100", 90))


def make(out: Path) -> None:
    """Play the demo and write it, compressed, to `out`."""
    with TestBed() as bed:
        bed.middle.feed_nft(STORY)  # which loads connection tracking where it is not there yet
        bed.middle.tune(netfilter__nf_conntrack_acct=1)
        watcher = Recorder(bed.middle, "near0", Watcher(bed))
        asyncio.run(_play(bed))
        watcher.close()
        frames = [frame for frame in bed.far.frames if _of_servers(seen(frame.data))]
    out.write_bytes(gzip.compress(pcap(frames), mtime=0))


class Watcher:
    """The middlebox's eye: what it answers in the client's name when it sees what it waits for."""

    def __init__(self, bed: TestBed) -> None:
        self._bed = bed
        self._ip_id = 0x9900

    def __call__(self, header: Seen, frame: Frame) -> None:
        """One packet on the client's side."""
        if header.dst[0] not in SERVERS or not header.length:
            return
        client = ip_address(header.src[0])
        named, second = WATCHED.encode() in frame.data, b"GET /style.css" in frame.data
        if client in ip_network("198.51.100.160/27"):  # AS64502: instead of the first data
            self._reset(header, RST, seq=header.seq, ttl=238, dont_fragment=False)
        elif named and client in ip_network("192.0.2.192/26"):  # AS64499
            for i in range(3):
                self._reset(header, RST_ACK, ttl=80 + i, window=500 + i, ip_id=self._next())
        elif named and client in ip_network("198.51.100.0/26"):  # AS64500
            self._reset(header, RST, ttl=41, ack=header.ack, ip_id=self._next())
            self._reset(header, RST, ttl=41, ip_id=self._next())
        elif named and client in ip_network("2001:db8:2::/64"):  # AS64506
            self._reset(header, RST, ttl=70)
            self._reset(header, RST_ACK, ttl=150)
        elif named:  # AS64501
            self._reset(header, RST, ttl=118, ip_id=self._next())
        elif second and client in ip_network("198.51.100.192/26"):  # AS64503
            self._reset(header, RST, ttl=201, ip_id=self._next())

    def _reset(
        self, header: Seen, flags: int, *, seq: int | None = None, ack: int = 0, **fields: Any
    ) -> None:
        """To the server in the client's name, and to the client in the server's."""
        number, seen_so_far = header.next if seq is None else seq, header.ack if flags & ACK else ack
        self._bed.inject(packets.tcp(header.src, header.dst, flags, seq=number, ack=seen_so_far, **fields))
        back = packets.tcp(header.dst, header.src, RST, seq=header.ack, **fields)
        self._bed.inject(back, towards_client=True)

    def _next(self) -> int:
        self._ip_id = (self._ip_id + 7) & 0xFFFF
        return self._ip_id


async def _play(bed: TestBed) -> None:
    chance = random.Random(2)
    servers = [
        await asyncio.start_server(_serve, sock=_listener(bed, a, p)) for a in SERVERS for p in (80, 443)
    ]
    tasks = []
    for first, last, rate, watched, habit in NETWORKS:
        low, high = int(ip_address(first)), int(ip_address(last))
        ordinary = habit == "plain" and first in ("192.0.2.10", "2001:db8:1::10")
        seconds = SECONDS + QUIET if ordinary else SECONDS
        for _ in range(rate * seconds // 60):
            client = str(ip_address(chance.randint(low, high)))
            name = WATCHED if chance.random() < watched else chance.choice(NAMES)
            how = _way(chance, habit)
            tasks.append(_visit(bed, client, name, how, chance.uniform(0, seconds)))
    for source, rate in SCANNERS:
        for _ in range(rate * SECONDS // 60):
            tasks.append(_scan(bed, source, chance.randrange(1 << 32), chance.uniform(0, SECONDS)))
    await asyncio.gather(*tasks)
    await asyncio.sleep(1)
    for server in servers:
        server.close()


def _way(chance: random.Random, habit: str) -> str:
    """How one visit goes: the port it takes and the way it ends."""
    if habit == "http":
        return chance.choice(("http", "http", "http", "tls"))
    if habit == "tabs":
        return chance.choice(("tls", "tls", "tls tab", "http tab", "http", "preconnect"))
    return chance.choices(("tls", "http", "tls tab", "preconnect", "closed port"), (60, 30, 3, 4, 3))[0]


async def _visit(bed: TestBed, client: str, name: str, how: str, after: float) -> None:
    await asyncio.sleep(after)
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in client else socket.AF_INET
    with bed.client.entered():
        end = socket.socket(family, socket.SOCK_STREAM)
    with contextlib.suppress(OSError, TimeoutError), end:
        end.setblocking(False)
        free_bind(end)
        end.bind((client, 0))
        port = 8443 if how == "closed port" else 80 if "http" in how else 443
        server = SERVERS[family == socket.AF_INET6]
        async with asyncio.timeout(8):
            await loop.sock_connect(end, (server, port))
            for request in _requests(how, name):
                await loop.sock_sendall(end, request)
                await loop.sock_recv(end, 65536)
                await asyncio.sleep(0.02)
        if how.endswith("tab"):
            await asyncio.sleep(0.2)
            reset(end)


def _requests(how: str, name: str) -> list[bytes]:
    if how == "preconnect":
        return []
    if "http" in how:
        return [http_request(name), http_request(name, path="/style.css")][: 1 if len(name) % 2 else 2]
    record = b"\x17\x03\x03" + (200).to_bytes(2, "big") + bytes(200)
    return [client_hello(name, post_quantum=len(name) % 2 == 0), record]


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.CancelledError):  # cut connections still wait at the end
        while request := await reader.read(65536):
            await asyncio.sleep(0.03)
            hello = b"\x16\x03\x03" + (1200).to_bytes(2, "big") + bytes(1200)
            writer.write(http_answer(b"hello, world\n" * 40) if request[:1] == b"G" else hello)
            await writer.drain()
        writer.close()


async def _scan(bed: TestBed, source: str, seed: int, after: float) -> None:
    """One SYN of a scanner: an older ZMap, or masscan behind a filter; the answer finds no socket."""
    await asyncio.sleep(after)
    target, port = SERVERS[0], (443, 80, 8443)[seed % 3]
    src, isn = (source, 32768 + seed % 28000), seed
    fields: dict[str, Any]
    if source == SCANNERS[0][0]:
        fields = {"ip_id": 54321, "window": 65535, "ttl": 238}
    else:
        fields = {"ip_id": (int(ip_address(target)) ^ port ^ isn) & 0xFFFF, "window": 1024, "ttl": 240}
        fields["options"] = packets.MSS_1460
    bed.inject(packets.tcp(src, (target, port), SYN, seq=isn, dont_fragment=False, **fields))


def _listener(bed: TestBed, address: str, port: int) -> socket.socket:
    with bed.server.entered():
        made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    free_bind(made)
    made.bind((address, port))
    made.listen(256)
    made.setblocking(False)
    return made


def _of_servers(header: Seen | None) -> bool:
    return header is not None and (header.src[0] in SERVERS or header.dst[0] in SERVERS)
