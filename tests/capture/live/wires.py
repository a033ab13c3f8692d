"""Virtual wires in network namespaces, and what a ring at their end hands over."""

from __future__ import annotations

import fcntl
import select
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import numpy as np

from halfopen.capture.live.devices import Devices
from halfopen.capture.live.packet_socket import PacketSocket
from halfopen.capture.live.program import ALL_PORTS
from halfopen.capture.live.ring import Ring
from halfopen.model import PACKET, Rows
from halfopen.sampling import Sampling
from halfopen.testing.namespaces import MissingError, Namespace
from halfopen.testing.recorder import no_offloads

Require = Callable[[bool, str], None]
SECONDS = 10
"""How long something may take that happens at once."""


@contextmanager
def namespace(require: Require, *commands: str) -> Iterator[Namespace]:
    """A namespace in which commands were run; skips where there cannot be one."""
    try:
        made = Namespace()
    except MissingError as missing:
        require(False, str(missing))
        raise
    with ExitStack() as closing:
        closing.callback(made.close)
        made.tune(ipv6__conf__default__accept_dad=0)
        made.run("ip link set lo up", *commands)
        yield made


@contextmanager
def wire(require: Require, *commands: str) -> Iterator[Namespace]:
    """A namespace with a wire between its interfaces near0 and far0, which takes frames of any length."""
    pair = "ip link add near0 mtu 65535 type veth peer name far0 mtu 65535"
    with namespace(require, pair, "ip link set near0 up", "ip link set far0 up", *commands) as made:
        with made.entered():
            no_offloads("near0")
            no_offloads("far0")
        settle(made, "near0", "far0")
        yield made


def settle(space: Namespace, *names: str) -> None:
    """Wait until frames that are sent by these interfaces are no longer dropped, a moment after they came up."""

    def running(name: str) -> bool:
        flags = fcntl.ioctl(handle, 0x8913, struct.pack("16sH14x", name.encode(), 0))  # SIOCGIFFLAGS
        return bool(struct.unpack_from("16xH", flags)[0] & 0x40)  # IFF_RUNNING

    with space.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        for name in names:
            until(lambda name=name: running(name))  # type: ignore[misc]


@contextmanager
def ring(space: Namespace, name: str = "far0", *, blocks: int = 4, everything: bool = True) -> Iterator[Ring]:
    """A ring in a namespace, which lets every TCP packet through or, to begin with, none."""
    with space.entered():
        made = Ring(PacketSocket(blocks), Devices(), name)
    if everything:
        made.watch(ALL_PORTS, Sampling())
    try:
        yield made
    finally:
        made.close()


def send(space: Namespace, *frames: bytes, name: str = "near0") -> None:
    """Put frames on an interface, byte by byte as they are."""
    with space.entered(), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
        sender.bind((name, 0))
        for frame in frames:
            sender.send(frame)


class Taken:
    """Rows and payloads that were handed over."""

    def __init__(self) -> None:
        self.rows: Rows = np.empty(0, PACKET)
        self.payloads: list[bytes] = []

    def ports(self) -> list[int]:
        """The source ports."""
        found: list[int] = self.rows["src_port"].tolist()
        return found


def take(source: Ring, count: int) -> Taken:
    """At least so many rows, and those that come within a moment after them."""
    taken = Taken()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        patience = 0.15 if len(taken.rows) >= count else end - time.monotonic()
        if not select.select([source], [], [], patience)[0]:
            break
        for batch in source.batches():
            taken.rows = np.concatenate([taken.rows, batch.rows])
            for row in batch.rows:
                begin = int(row["payload_offset"])
                taken.payloads.append(batch.data[begin : begin + int(row["payload_captured"])].tobytes())
    return taken


def until(holds: Callable[[], bool]) -> None:
    """Wait for something that happens at once."""
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)
