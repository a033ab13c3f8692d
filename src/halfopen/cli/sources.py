"""Where `halfopen sense` gets its packets: opened with privileges and the standard library, read without the former."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Final

from halfopen.capture.live import ANY
from halfopen.model import FIRST_BYTES

if TYPE_CHECKING:
    from halfopen.capture.live.nflog import Nflog
    from halfopen.capture.live.ring import Ring
    from halfopen.sampling import Sampling

AUTO: Final = "auto"
"""The sample that adapts: all connections, fewer under pressure."""

SNAPLEN: Final = 60 + 60 + FIRST_BYTES
"""Bytes of what the firewall logs of a packet: IP and TCP with all options, and where names are looked for."""


def one_in_how_many(args: Namespace) -> int:
    """With which sample it begins."""
    return 1 if args.sample == AUTO else int(args.sample)


class Interfaces:
    """Interfaces, whose packets the kernel chooses."""

    def __init__(self, args: Namespace) -> None:
        """Open what needs privileges."""
        from halfopen.capture.live.devices import Devices
        from halfopen.capture.live.listening import Listeners
        from halfopen.capture.live.packet_socket import PacketSocket
        from halfopen.sensor.privileges import Capability, opening

        self._args = args
        names = list(dict.fromkeys(args.interfaces)) or [ANY]
        with opening("watching network interfaces", Capability.CAP_NET_RAW):
            self._opened = [(PacketSocket(), Devices(), name) for name in names]
        self._listeners = Listeners()
        self.wires: list[Ring] = []
        self.adapts = args.sample == AUTO

    def read(self) -> Sampling:
        """Make of it what can be read; gives the sample that the flow table keeps."""
        from halfopen.capture.live.ring import Ring
        from halfopen.sampling import one_in

        self.wires += [Ring(*each) for each in self._opened]
        sampling = one_in(one_in_how_many(self._args))
        self.rate = sampling.rate
        return sampling

    def ports(self) -> frozenset[int]:
        """The servers' ports now."""
        from halfopen.sensor.sensor import NO_PORTS

        if self._args.server_port:
            return frozenset(self._args.server_port)
        loopback = any(wire.loopback for wire in self.wires)
        return self._listeners.ports(loopback=loopback) or NO_PORTS

    def close(self) -> None:
        """Let go of all of it."""
        for wire in self.wires:
            wire.close()
        self._listeners.close()


class Firewall:
    """A group to which the firewall logs; its rules choose."""

    def __init__(self, args: Namespace) -> None:
        """Open what needs privileges."""
        from halfopen.capture.live.nflog_socket import open_group
        from halfopen.sensor.privileges import Capability, opening

        self._args = args
        with opening("reading what the firewall logs", Capability.CAP_NET_ADMIN):
            self._opened = open_group(args.nflog, SNAPLEN)
        self.wires: list[Nflog] = []
        self.rate = 1 / one_in_how_many(args)
        self.adapts = False

    def read(self) -> Sampling:
        """Make of it what can be read; the flow table keeps all that the rules have let through."""
        from halfopen.capture.live.nflog import Nflog
        from halfopen.sampling import Sampling

        self.wires.append(Nflog(self._opened, self._args.nflog))
        return Sampling()

    def ports(self) -> frozenset[int]:
        """Those asked for, else all: the rules know better."""
        return frozenset(self._args.server_port)

    def close(self) -> None:
        """Let go of it."""
        for wire in self.wires:
            wire.close()
