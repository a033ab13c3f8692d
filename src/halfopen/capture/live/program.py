"""The program that the kernel runs for each packet: it keeps what may belong to a sample of connections.

Kept are, of TCP over IPv4 and IPv6:

- packets to a server port, in any direction but out of this host, whose sender's hash is in the sample, with as
  many bytes as evidence and the search for a name need (`WITH_DATA`);
- packets from a server port with SYN, FIN or RST, whose receiver's hash is in the sample, their headers only.

Fragments but the first are left out. On the loopback interface, where every packet goes out and comes in,
the former is. Too much may be kept, and never too little: who has both ports among those of servers passes
by either rule; TCP behind extension headers of IPv6 passes, and whatever is behind a third VLAN tag, MPLS
or PPPoE; and so does every port where ports are too scattered for a program (`MOST`, some five hundred runs
of them). The flow table decides.

The bytes are those of the frame (SOCK_RAW): only so is a VLAN tag always either in them, where every reader
expects it, or taken off by the hardware and of no concern.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Final

from halfopen.capture.live import assembler as bpf
from halfopen.capture.live.assembler import Assembler, Label
from halfopen.capture.live.packet_socket import Instruction
from halfopen.model import FIRST_BYTES, MAPPED_PREFIX, Flag
from halfopen.sampling import FOLD, LAST, WHOLE, Sampling, folded

MOST: Final = 4096
"""Instructions of a program (BPF_MAXINSNS)."""

ALL_PORTS: Final = frozenset(range(1 << 16))

HEADERS: Final = 14 + 8 + 60 + 60
"""Bytes of the longest headers that are understood: Ethernet, two VLAN tags, IPv4 and TCP with all options."""

WITH_DATA: Final = HEADERS + FIRST_BYTES

_SIX_EXTENSIONS: Final = (0, 43, 44, 51, 60)
_TAGS: Final = (0x8100, 0x88A8, 0x9100)
_LABELS: Final = (0x8847, 0x8848, 0x8864)  # MPLS, PPPoE
_IP: Final = (0x0800, 0x86DD)
_TCP: Final = 6
_ENDS: Final = int(Flag.SYN | Flag.FIN | Flag.RST)

# What the kernel knows of a packet beside its bytes (SKF_AD_*), and where its network header is (SKF_NET_OFF).
_PROTOCOL, _TYPE, _INTERFACE, _HARDWARE = (0xFFFF_F000 + each for each in (0, 4, 8, 28))
_NETWORK: Final = 0xFFF0_0000
_OUTGOING: Final = 4  # PACKET_OUTGOING; there is no other type with this bit that a socket sees
_ETHERNET, _LOOPBACK = 1, 772  # ARPHRD_*

# Words of memory: source and destination address, ports, flags, direction, IP version, a port.
_SRC, _DST, _PORTS, _FLAGS, _OUT, _SIX, _PORT = 0, 4, 8, 9, 10, 11, 12


def program(ports: Set[int], sampling: Sampling, without: Set[int] = frozenset()) -> list[Instruction]:
    """The program for these server ports and this sample, which drops all of the interfaces `without` (indices)."""
    made = _Program(sampling).of(ports, without)
    return made if len(made) <= MOST else _Program(sampling).of(ALL_PORTS, without)


class _Program(Assembler):
    def __init__(self, sampling: Sampling) -> None:
        super().__init__()
        self._sampling = sampling
        self._drop, self._pass = self.label(), self.label()

    def of(self, ports: Set[int], without: Set[int]) -> list[Instruction]:
        segment, loopback, ethernet, plain, tagged, deeper = (self.label() for _ in range(6))
        if without:
            here = self.label()
            self.do(bpf.LD_W, _INTERFACE)
            self._search(without, self._drop, here)
            self.put(here)
        self.do(bpf.LD_W, _TYPE)
        self.do(bpf.AND, _OUTGOING)
        self.do(bpf.ST, _OUT)
        self.do(bpf.LD_W, _HARDWARE)
        self.when(bpf.JEQ, _ETHERNET, ethernet)
        self.when(bpf.JEQ, _LOOPBACK, loopback)

        beyond = self.label()
        self.do(bpf.LDX_K, _NETWORK)
        self.do(bpf.LD_W, _PROTOCOL)
        self._by_protocol(beyond, self._pass)

        self.put(loopback)
        self.do(bpf.LD_M, _OUT)
        self.when(bpf.JSET, _OUTGOING, self._drop)
        self.put(ethernet)
        self.do(bpf.LD_H, 12)
        self._by_protocol(plain, tagged)
        self.put(tagged)
        self.do(bpf.LDX_K, 18)
        self.do(bpf.LD_H, 16)
        self._by_protocol(beyond, deeper)
        self.put(deeper)
        self.do(bpf.LDX_K, 22)
        self.do(bpf.LD_H, 20)
        self._by_protocol(beyond, self._pass)

        self.put(beyond)
        self._internet(None, segment)
        self.put(plain)
        self._internet(14, segment)

        self.put(segment)
        self._segment(ports)
        self.put(self._drop)
        self.do(bpf.RET, 0)
        self.put(self._pass)
        self.do(bpf.RET, WITH_DATA)
        return self.assembled()

    def _by_protocol(self, internet: Label, tags: Label) -> None:
        """Go on by the EtherType in A."""
        for each in _IP:
            self.when(bpf.JEQ, each, internet)
        for each in _TAGS:
            self.when(bpf.JEQ, each, tags)
        for each in _LABELS:
            self.when(bpf.JEQ, each, self._pass)
        self.go(self._drop)

    def _internet(self, base: int | None, segment: Label) -> None:
        """From an IP header at `base`, or at X, to `segment` with addresses, ports and flags in memory.

        The kernel reads at fixed places faster: the program takes a third less, half with IPv6.
        """

        def load(fixed: int, offset: int) -> None:
            if base is None:
                self.do(fixed + (bpf.LD_W_X - bpf.LD_W), offset)
            else:
                self.do(fixed, base + offset)

        four, six, plain, extended = (self.label() for _ in range(4))
        load(bpf.LD_B, 0)
        self.do(bpf.RSH, 4)
        self.when(bpf.JEQ, 4, four)
        self.when(bpf.JEQ, 6, six, self._drop)

        self.put(four)
        load(bpf.LD_B, 9)
        self.when(bpf.JEQ, _TCP, None, self._drop)
        load(bpf.LD_H, 6)
        self.when(bpf.JSET, 0x1FFF, self._drop)
        self.do(bpf.LD_K, 0)
        for word in (_SRC, _SRC + 1, _SRC + 2, _DST, _DST + 1, _DST + 2, _SIX):
            self.do(bpf.ST, word)
        for offset, word in ((12, _SRC + 3), (16, _DST + 3)):
            load(bpf.LD_W, offset)
            self.do(bpf.ST, word)
        if base is None:
            load(bpf.LD_B, 0)
            self.do(bpf.AND, 15)
            self.do(bpf.LSH, 2)
            self.do(bpf.ADD_X)
            self.do(bpf.TAX)
        else:
            self.do(bpf.LDX_IP, base)
        self.do(bpf.LD_W_X, base or 0)
        self.do(bpf.ST, _PORTS)
        self.do(bpf.LD_B_X, (base or 0) + 13)
        self.do(bpf.AND, _ENDS)
        self.do(bpf.ST, _FLAGS)
        self.go(segment)

        self.put(six)
        load(bpf.LD_B, 6)
        self.when(bpf.JEQ, _TCP, plain)
        for each in _SIX_EXTENSIONS:
            self.when(bpf.JEQ, each, extended)
        self.go(self._drop)
        self.put(extended)
        load(bpf.LD_B, 40)  # what follows the first of them
        for each in (_TCP, *_SIX_EXTENSIONS):
            self.when(bpf.JEQ, each, self._pass)
        self.go(self._drop)
        self.put(plain)
        for word in range(4):
            load(bpf.LD_W, 8 + 4 * word)
            self.do(bpf.ST, _SRC + word)
            load(bpf.LD_W, 24 + 4 * word)
            self.do(bpf.ST, _DST + word)
        self.do(bpf.LD_K, 1)
        self.do(bpf.ST, _SIX)
        load(bpf.LD_W, 40)
        self.do(bpf.ST, _PORTS)
        load(bpf.LD_B, 40 + 13)
        self.do(bpf.AND, _ENDS)
        self.do(bpf.ST, _FLAGS)
        self.go(segment)

    def _segment(self, ports: Set[int]) -> None:
        """Keep or drop by direction, ports and hash."""
        to_server, of_server = self.label(), self.label()
        ended = self.label()
        self.do(bpf.LD_M, _OUT)
        self.when(bpf.JSET, _OUTGOING, ended)
        self.do(bpf.LD_M, _PORTS)
        self.do(bpf.AND, 0xFFFF)
        self._search(ports, to_server, ended)
        self.put(to_server)
        self.do(bpf.LD_M, _PORTS)
        self.do(bpf.RSH, 16)
        self._sampled(_SRC, ended)
        self.do(bpf.RET, WITH_DATA)
        self.put(ended)
        self.do(bpf.LD_M, _FLAGS)
        self.when(bpf.JEQ, 0, self._drop)
        self.do(bpf.LD_M, _PORTS)
        self.do(bpf.RSH, 16)
        self._search(ports, of_server, self._drop)
        self.put(of_server)
        self.do(bpf.LD_M, _PORTS)
        self.do(bpf.AND, 0xFFFF)
        self._sampled(_DST, self._drop)
        self.do(bpf.RET, HEADERS)

    def _search(self, among: Set[int], inside: Label, outside: Label) -> None:
        """Go on by whether A is in a set of numbers: a search by halves among the begins and ends of its runs."""
        bounds = sorted((among ^ {each + 1 for each in among}) - {0})

        def leaf(passed: int) -> Label:
            return inside if (passed + (0 in among)) % 2 else outside

        def node(low: int, high: int) -> None:
            """A is known to have passed at least `low` bounds and at most `high`."""
            middle = (low + high) // 2
            right = leaf(high) if middle + 1 == high else self.label()
            self.when(bpf.JGE, bounds[middle], right, leaf(low) if low == middle else None)
            if low < middle:
                node(low, middle)
            if middle + 1 < high:
                self.put(right)
                node(middle + 1, high)

        if bounds:
            node(0, len(bounds))
        else:
            self.go(leaf(0))

    def _sampled(self, address: int, outside: Label) -> None:
        """Go on with what follows if the client is in the sample; A is its port, its address in four words of memory.

        This is `Sampling.hash`. The first three words of an IPv4 address are always the same.
        """
        sampling = self._sampling
        if sampling.threshold == WHOLE:
            return
        four, last = self.label(), self.label()
        self.do(bpf.XOR, sampling.key[1])
        self.do(bpf.ST, _PORT)
        self.do(bpf.LD_M, _SIX)
        self.when(bpf.JEQ, 0, four)
        self.do(bpf.LD_K, sampling.key[0])
        for word in range(3):
            self._fold(address + word)
        self.go(last)
        self.put(four)
        self.do(bpf.LD_K, folded(folded(folded(sampling.key[0], 0), 0), MAPPED_PREFIX >> 32))
        self.put(last)
        self._fold(address + 3)
        self._fold(_PORT)
        for step in LAST:
            self._mix(*step)
        self.when(bpf.JGE, sampling.threshold, outside)

    def _fold(self, word: int) -> None:
        self.do(bpf.LDX_M, word)
        self.do(bpf.XOR_X)
        self._mix(*FOLD)

    def _mix(self, factor: int, shift: int) -> None:
        """A times a factor, exclusive or with itself shifted right."""
        self.do(bpf.MUL, factor)
        self.do(bpf.TAX)
        self.do(bpf.RSH, shift)
        self.do(bpf.XOR_X)
