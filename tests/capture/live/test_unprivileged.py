"""What is opened with a privilege works without any: in a process that gave all of them up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import halfopen
from tests.capture.live.wires import Require, wire

CHILD = """
import ctypes, socket, struct, sys, time
from halfopen.capture.live.devices import Devices
from halfopen.capture.live.listening import Listeners
from halfopen.capture.live.packet_socket import PacketSocket

opened = PacketSocket(2), Devices()
(far0,) = (each.index for each in opened[1].all() if each.name == "far0")
listeners = Listeners()
late = {"numpy", "numba"} & set(sys.modules)
assert not late, late
sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)

# capset(2): version 3, no capability in any set
assert ctypes.CDLL(None).capset(struct.pack("Ii", 0x20080522, 0), bytes(24)) == 0
try:
    PacketSocket(1)
except PermissionError:
    pass
else:
    sys.exit("capabilities are still there")

from halfopen.capture.live.ring import Ring
from halfopen.sampling import Sampling
from tests.capture.layers import ethernet, ipv4, tcp

source = Ring(*opened, "far0")
sender.bind(("near0", 0))
for port in (80, 443):
    opened[0].bind(1)  # the loopback interface
    source.watch(frozenset({port}), Sampling())
    sender.send(ethernet(ipv4(tcp(to=port))))
    opened[0].bind(far0)
    sender.send(ethernet(ipv4(tcp(to=port))))
    found = []
    while not found:
        found = [int(row["dst_port"]) for batch in source.batches() for row in batch.rows]
    assert found == [port]
assert listeners.ports() == frozenset()
"""


def test_after_all_privileges_are_given_up(require: Require) -> None:
    with wire(require) as space, space.entered():
        path = f"{Path(halfopen.__file__).parents[1]}:{Path(__file__).parents[3]}"
        done = subprocess.run(
            [sys.executable, "-c", CHILD],
            env={"PYTHONPATH": path, "NUMBA_BOUNDSCHECK": "1"},
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
