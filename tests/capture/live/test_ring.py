"""What real interfaces of the kernel hand over: each packet once, by either IP version, and every loss counted."""

from __future__ import annotations

import fcntl
import os
import select
import socket
import struct
from collections import Counter as Tally
from pathlib import Path

import pytest

from halfopen.capture.live import ANY
from halfopen.capture.live.program import WITH_DATA
from halfopen.model import FIRST_BYTES, Counter, Flag, Trait
from halfopen.sampling import WHOLE, Sampling
from halfopen.testing.namespaces import Namespace
from tests.capture.layers import ethernet, ipv4, ipv6, tcp
from tests.capture.live.wires import Require, namespace, ring, send, take, wire
from tests.conftest import allow

EVERY = Sampling()


def segment(source: int, payload: bytes = b"", to: int = 443) -> bytes:
    return ethernet(ipv4(tcp(payload, source=source, to=to)))


def test_nothing_comes_before_it_is_asked_for(require: Require) -> None:
    with wire(require) as space, ring(space, everything=False) as source:
        send(space, segment(1))
        source.watch(frozenset({443}), EVERY)
        send(space, segment(2), segment(3, to=80))
        source.watch(frozenset({80}), EVERY)
        send(space, segment(4), segment(5, to=80))
        assert take(source, 2).ports() == [2, 5]
        assert (
            source.counters[Counter.packets] == source.counters[Counter.tcp] == source.losses().received == 2
        )


def test_as_many_bytes_as_are_looked_at(require: Require) -> None:
    with wire(require) as space, ring(space) as source:
        payload = os.urandom(30_000)
        send(space, segment(1, payload))
        taken = take(source, 1)
        assert taken.rows["payload_length"][0] == len(payload)
        assert taken.payloads == [payload[: WITH_DATA - 54]]
        assert len(taken.payloads[0]) >= FIRST_BYTES


def test_blocks_go_round(require: Require) -> None:
    """Many times the ring, read as it fills: no packet twice, none lost, all in order."""
    with wire(require) as space, ring(space, blocks=2) as source:
        ports = []
        for begin in range(0, 6000, 1000):
            send(space, *(segment(begin + each, bytes(1400)) for each in range(1000)))
            ports += take(source, 0).ports()
        ports += take(source, 6000 - len(ports)).ports()
        assert ports == list(range(6000))
        assert source.losses().dropped == 0


def test_what_finds_no_room_is_counted(require: Require) -> None:
    """A reader that does not read: what was handed over and what was dropped is what was sent."""
    with wire(require) as space, ring(space, blocks=2) as source:
        send(space, *(segment(each, bytes(1400)) for each in range(4000)))
        losses = source.losses()
        taken = take(source, 1000)
        assert losses.received == 4000
        assert 0 < losses.dropped < 4000
        assert len(taken.rows) == 4000 - losses.dropped
        send(space, segment(5000))
        assert take(source, 1).ports() == [5000]
        assert source.losses().received == 4001
        assert source.losses().dropped == losses.dropped


def test_a_batch_that_was_taken_is_not_given_again(require: Require) -> None:
    with wire(require) as space, ring(space) as source:
        send(space, segment(1))
        select.select([source], [], [], 10)
        for batch in source.batches():
            assert batch.rows["src_port"].tolist() == [1]
            break
        send(space, segment(2))
        assert take(source, 1).ports() == [2]


@pytest.mark.parametrize(
    ("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")], ids=["IPv4", "IPv6"]
)
def test_loopback_shows_each_packet_once(require: Require, family: int, address: str) -> None:
    """Of a dual-stack server, a client of either version, and a sample that must be that of the client."""
    with namespace(require) as space, ring(space, "lo") as source:
        assert source.loopback
        with (
            space.entered(),
            socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server,
        ):
            port = server.getsockname()[1]
            source.watch(frozenset({port}), Sampling((3, 4), WHOLE - 1))
            with socket.socket(family) as client:
                client.connect((address, port))
                accepted, _ = server.accept()
                client.sendall(b"hello")
                assert accepted.recv(9) == b"hello"
                client_port = client.getsockname()[1]
                accepted.close()
        taken = take(source, 5)
    rows = [
        (int(row["src_port"]) == client_port, Flag(int(row["flags"])) & ~Flag.PSH, int(row["payload_length"]))
        for row in taken.rows
    ]
    ends = Flag.FIN | Flag.ACK
    wanted = [(True, Flag.SYN, 0), (False, Flag.SYN | Flag.ACK, 0), (True, Flag.ACK, 0), (True, Flag.ACK, 5)]
    assert rows[:4] == wanted
    assert rows.count((False, ends, 0)) == rows.count((True, ends, 0)) == 1
    assert all(mine or flags != Flag.ACK for mine, flags, _ in rows)
    assert {bool(row["traits"] & Trait.IPV6) for row in taken.rows} == {family == socket.AF_INET6}


def test_a_link_without_header(require: Require) -> None:
    """A tun interface carries IP packets and nothing else."""
    allow(Path("/dev/net/tun").exists(), "a tun interface (/dev/net/tun)")
    with namespace(require) as space:
        with space.entered():
            tun = os.open("/dev/net/tun", os.O_RDWR)
            fcntl.ioctl(
                tun, 0x400454CA, struct.pack("16sH22x", b"tun0", 0x1001)
            )  # TUNSETIFF: IFF_TUN | IFF_NO_PI
        space.run("ip link set tun0 up")
        with ring(space, "tun0") as source:
            source.watch(frozenset({443}), Sampling((3, 4), WHOLE >> 1))
            wanted = 0
            for port in range(1000, 1100):
                os.write(tun, ipv4(tcp(b"hello", source=port), options=bytes(8)))
                os.write(tun, ipv6(tcp(b"hello", source=port)))
                wanted += Sampling((3, 4), WHOLE >> 1).takes(0, 0xFFFF_C000_0201, port)
                wanted += Sampling((3, 4), WHOLE >> 1).takes(0x2001_0DB8 << 32, 1, port)
            taken = take(source, wanted)
            assert len(taken.rows) == wanted
            assert set(taken.payloads) == {b"hello"}
        os.close(tun)


def bridged(require: Require, outside: Namespace, container: Namespace, host: Namespace) -> None:
    """outside -- up0 [host: br0] c0 -- container"""
    host.run(
        f"ip link add up0 type veth peer name eth0 netns {outside.path}",
        f"ip link add c0 type veth peer name eth0 netns {container.path}",
        "ip link add br0 type bridge",
        *(f"ip link set {port} master br0" for port in ("up0", "c0")),
        *(f"ip link set {each} up" for each in ("up0", "c0", "br0")),
    )
    for inside, address in ((outside, "192.0.2.1/24"), (container, "192.0.2.2/24")):
        inside.run(f"ip addr add {address} dev eth0", "ip link set eth0 up")


@pytest.mark.parametrize("name", ["up0", ANY])
def test_a_container_behind_a_bridge(require: Require, name: str) -> None:
    """The client's packets come once, by the bridge's port or by all interfaces; the server's are not missing."""
    with namespace(require) as host, namespace(require) as outside, namespace(require) as container:
        bridged(require, outside, container, host)
        with ring(host, name) as source:
            source.watch(frozenset({80}), EVERY)
            with container.entered():
                server = socket.create_server(("192.0.2.2", 80))
            with outside.entered():
                client = socket.create_connection(("192.0.2.2", 80), timeout=10)
            accepted, _ = server.accept()
            client.sendall(b"hello")
            assert accepted.recv(9) == b"hello"
            for each in (client, accepted, server):
                each.close()
            taken = take(source, 5)
    of_client = Tally[tuple[int, int]]()
    of_server = Tally[int]()
    for row in taken.rows:
        if row["dst_port"] == 80:
            of_client[int(row["flags"]), int(row["ip_id"])] += 1
        else:
            of_server[int(row["flags"])] += 1
    assert set(of_client.values()) == {1}
    assert len(of_client) >= 4
    assert of_server[Flag.SYN | Flag.ACK] == (2 if name == ANY else 1)  # c0 -> up0
    assert of_server[Flag.FIN | Flag.ACK] >= 1


def test_interfaces_that_are_above_others_are_left_out_as_they_come(require: Require) -> None:
    with wire(require) as space, ring(space, ANY) as source:
        source.watch(frozenset({443}), EVERY)
        send(space, segment(1))
        assert take(source, 1).ports() == [1]
        space.run("ip link add mac0 link far0 type macvlan mode passthru", "ip link set mac0 up")
        source.look()
        send(space, segment(2))
        assert take(source, 1).ports() == [2]
