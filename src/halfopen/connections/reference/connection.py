"""What the reference keeps of one connection: its packets as a set, and what the server showed."""

from __future__ import annotations

from dataclasses import dataclass, field

from halfopen.connections.limits import STRAY_REACH
from halfopen.connections.rules import Tag
from halfopen.connections.trigger import LIMIT as FIRST_BYTES
from halfopen.connections.trigger import MORE, NONE, Trigger, read_trigger
from halfopen.model import SECOND, Flag, TriggerKind

Endpoint = tuple[int, int, int]
"""Upper and lower half of an address, and a port."""

OPENER = Flag.SYN | Flag.ACK | Flag.RST | Flag.FIN

COPY_WINDOW = 5 * SECOND // 1000
COPY_WINDOW_WITH_ID = 100 * SECOND // 1000


def opens(flags: int) -> bool:
    """Whether a segment asks for a connection: SYN without ACK, RST and FIN (D2)."""
    return flags & OPENER == Flag.SYN


def ahead(a: int, b: int) -> int:
    """How far sequence number `a` lies ahead of `b` (negative: behind), modulo 2^32 (RFC 1982)."""
    return (a - b + 2**31) % 2**32 - 2**31


@dataclass(frozen=True, slots=True)
class Packet:
    """One segment, as far as verdict and evidence need it."""

    ts: int
    seq: int
    ack: int
    flags: int
    length: int
    window: int
    ttl: int
    ip_id: int
    options_hash: int

    @property
    def reset(self) -> bool:
        """A RST, whatever else is set."""
        return bool(self.flags & Flag.RST)

    @property
    def syn(self) -> bool:
        """A SYN that is not also a RST."""
        return bool(self.flags & Flag.SYN) and not self.reset

    @property
    def fin(self) -> bool:
        """A FIN that is neither SYN nor RST."""
        return bool(self.flags & Flag.FIN) and not self.reset and not self.syn

    @property
    def acks(self) -> bool:
        """Carries an acknowledgement that means something."""
        return bool(self.flags & Flag.ACK) and not self.reset

    @property
    def acknowledges(self) -> bool:
        """Has an ack number: by its flag, or as a RST that carries one without."""
        return bool(self.flags & Flag.ACK or (self.reset and self.ack))

    def is_copy_of(self, other: Packet) -> bool:
        """The same packet recorded twice (D14)."""
        window = COPY_WINDOW_WITH_ID if self.ip_id else COPY_WINDOW
        return abs(self.ts - other.ts) <= window and (
            self.seq, self.ack, self.flags, self.length, self.window, self.options_hash, self.ip_id
        ) == (
            other.seq, other.ack, other.flags, other.length, other.window, other.options_hash, other.ip_id
        )  # fmt: skip


@dataclass(slots=True)
class Server:
    """What the server's side of one connection showed; numbers are None until seen."""

    seen: bool = False
    spoke: bool = False  # sent anything but a RST
    end: int | None = None  # highest sequence number sent, SYN and FIN included
    repeated: int | None = None  # highest end of a segment that began before `end`
    acked: int | None = None  # highest ack number sent
    fin_end: int | None = None
    refused: bool = False  # RST or ICMP in answer to the SYN, not void
    reset: bool = False  # RST after it had spoken
    gave_up: bool = False  # its first RST came after more than idle-timeout of client silence
    first_rst: int | None = None
    furthest_rst: int | None = None
    different_rsts: bool = False
    acks_after_reset: list[int] = field(default_factory=list)  # the last two different ones
    recent: list[Packet] = field(default_factory=list)  # the last two, to know copies


@dataclass(slots=True)
class Connection:
    """One connection from its SYN on; `packets` are the inbound ones, in order of arrival."""

    client: Endpoint
    server: Endpoint
    isn: int
    start: int
    last: int
    tags: set[Tag]
    packets: list[Packet] = field(default_factory=list)
    answers: Server = field(default_factory=Server)
    duplicates: int = 0
    echoes: int = 0
    client_reset: bool = False  # a RST of the client so far that is not stray
    server_fin_first: bool = False  # the server's FIN came before any RST of the client
    icmp_from_router: bool = False
    judged: bool = False
    halvings: int = 0  # how often the sample had been halved, the most in its life
    trigger: Trigger | None = None  # None while more bytes could give a name
    stream: bytearray = field(default_factory=lambda: bytearray(FIRST_BYTES))
    have: bytearray = field(default_factory=lambda: bytearray(FIRST_BYTES))  # 1 where `stream` holds a byte

    def relative(self, seq: int) -> int:
        """Sequence number relative to the client's initial one."""
        return ahead(seq, self.isn)

    @property
    def first_ack(self) -> int | None:
        """The ack number that counts as 1: the first one of a packet that is no RST, else the first."""
        told = [packet for packet in self.packets if packet.acknowledges]
        return next((packet.ack for packet in [*(p for p in told if not p.reset), *told]), None)

    def payload_start(self, packet: Packet) -> int:
        """Relative sequence number of the first payload byte."""
        return self.relative(packet.seq) + (1 if packet.syn else 0)

    def span(self, packet: Packet) -> tuple[int, int] | None:
        """Relative start and end of the data in a segment; bytes at or before the ISN are none (D5)."""
        if packet.reset:
            return None
        first = self.payload_start(packet)
        start, end = max(first, 1), first + packet.length
        return (start, end) if end > start else None

    def accepted_syn_payload(self) -> int:
        """Length of SYN data that a later packet starts behind, else 0 (D5)."""
        length = max((p.length for p in self.packets if p.syn), default=0)
        later = (p for p in self.packets if not p.reset and not p.syn)
        return length if length and any(self.relative(p.seq) > length for p in later) else 0

    def data(self, packets: list[Packet]) -> list[tuple[Packet, int, int]]:
        """Segments of `packets` with data, with its relative start and end."""
        accepted = self.accepted_syn_payload()
        spans = []
        for packet in packets:
            span = self.span(packet)
            if span and (not packet.syn or accepted):
                spans.append((packet, *span))
        return spans

    def highest(self, packets: list[Packet]) -> int:
        """Relative sequence number that the client would send next, as `packets` show it."""
        accepted = self.accepted_syn_payload()
        ends = [0]
        for p in packets:
            if p.syn:
                ends.append(1 + (p.length if accepted else 0))
            elif not p.reset:
                ends.append(self.relative(p.seq) + p.length + p.fin)
        return max(ends)

    def concerns(self, ack: int) -> bool:
        """Whether an ack number of the server can be of this connection and not of an older one."""
        ends = (self.relative(p.seq) + p.length + 1 for p in self.packets if not p.reset)
        return 0 < self.relative(ack) <= max(ends) + STRAY_REACH

    def void_refusal(self) -> None:
        """The client went on after a refused SYN: the refusal never was (D9)."""
        answers = self.answers
        if answers.refused:
            answers.refused = answers.gave_up = answers.different_rsts = False
            answers.first_rst = answers.furthest_rst = None

    def stray(self, packet: Packet, highest: int) -> bool:
        """A RST that belongs to some other connection (D16)."""
        return packet.reset and not 0 <= self.relative(packet.seq) <= highest + STRAY_REACH

    def repeats(self, packet: Packet, before: list[Packet]) -> bool:
        """A SYN again, or nothing but bytes already seen (D8)."""
        if packet.syn:
            return True
        if packet.reset or packet.fin or packet.length == 0:
            return False
        first = self.relative(packet.seq)
        return first + packet.length <= self.highest(before)

    def take_first_bytes(self, packet: Packet, payload: bytes) -> None:
        """Put payload where it belongs in the client's first bytes and look for a name in them."""
        if self.trigger is not None or packet.reset:
            return
        cut = len(payload) < packet.length
        offset = self.payload_start(packet) - 1
        if offset < 0:
            payload, offset = payload[-offset:], 0
        payload = payload[: max(FIRST_BYTES - offset, 0)]
        if not payload:
            return
        self.stream[offset : offset + len(payload)] = payload
        self.have[offset : offset + len(payload)] = b"\1" * len(payload)
        contiguous = self.have.find(0)
        found = read_trigger(bytes(self.stream[: contiguous if contiguous >= 0 else FIRST_BYTES]))
        if found.status != MORE:
            self.trigger = found
        elif cut:  # what the snaplen took does not come again
            self.trigger = Trigger(NONE)

    @property
    def name(self) -> tuple[TriggerKind, bytes]:
        """The trigger, as far as it was visible."""
        found = self.trigger
        return (found.kind, found.name) if found is not None else (TriggerKind.none, b"")
