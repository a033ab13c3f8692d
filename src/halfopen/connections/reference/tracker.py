"""The readable flow table: which packet belongs to which connection, and when that one is final."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from enum import IntEnum
from ipaddress import IPv6Address
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from halfopen.connections.limits import SLOTS, Limits
from halfopen.connections.reference.connection import (
    Connection,
    Endpoint,
    Packet,
    ahead,
    opens,
)
from halfopen.connections.reference.scanners import scanner_tags
from halfopen.connections.reference.story import Event, Story
from halfopen.connections.reference.verdict import (
    Verdict,
    client_ended,
    has_ended,
    is_retransmitting,
    judge,
)
from halfopen.connections.reference.written import Written
from halfopen.connections.rules import Tag
from halfopen.model import (
    PACKETS_KEPT,
    SECOND,
    Batch,
    ConnectionBatch,
    Counter,
    Flag,
    Kind,
    LeftOut,
    Stage,
    Trait,
)
from halfopen.sampling import Sampling

Key = tuple[Endpoint, Endpoint]
"""Both ends of a 5-tuple, the lower one first."""


class Wait(IntEnum):
    """What a live connection waits for, and so for how long (D1); in the order of eviction."""

    judged = 0  # its verdict is out; the 5-tuple stays known
    syn_only = 1
    open = 2
    ended = 3  # FIN or RST seen


_LEFT_OUT: Final = {
    LeftOut.decided: Counter.decided,
    LeftOut.undecided: Counter.undecided,
    LeftOut.broke_off: Counter.broke_off,
    LeftOut.replaced: Counter.replaced,
    LeftOut.evicted: Counter.evicted,
}


class ReferenceTracker:
    """Twin of `connections.tracker.Tracker`: same batches in, same rows out, one packet at a time."""

    def __init__(
        self,
        limits: Limits,
        counters: NDArray[np.int64],
        *,
        sampling: Sampling = Sampling(),  # noqa: B008 - it cannot be changed
        stories: bool = False,
    ) -> None:
        self.limits = limits
        self.counters = counters
        self.sampling = sampling
        self._largest = sampling
        self._halvings = 0
        self.clock = 0
        self.stories: list[Story] = []
        self._telling = stories
        self._story_of: dict[int, Story] = {}
        self._live: dict[Key, tuple[Connection, Wait]] = {}
        # Per wait and second in which to look again, in the order of coming there.
        self._wheel: dict[Wait, dict[int, dict[Key, None]]] = {w: {} for w in Wait}
        self._slot_of: dict[Key, int] = {}
        self._second = 0
        self._written = Written()
        self._expiry = {
            Wait.judged: limits.idle_timeout,
            Wait.ended: limits.idle_timeout,
            Wait.syn_only: limits.linger_syn,
            Wait.open: limits.linger,
        }

    def feed(self, batch: Batch) -> Iterator[ConnectionBatch]:
        """Take the packets of a batch; yields what became final."""
        for row in batch.rows:
            if row["kind"] == Kind.BREAK:
                self._end(int(row["ts"]))
                continue
            self.clock = max(self.clock, int(row["ts"]))
            self._turn()
            if row["kind"] == Kind.UNREACHABLE:
                self._unreachable(row)
            else:
                start, captured = int(row["payload_offset"]), int(row["payload_captured"])
                self._segment(row, batch.data[start : start + captured].tobytes())
        yield from self._written.drain()

    def finish(self, clock: int) -> Iterator[ConnectionBatch]:
        """The capture ends; `clock` is the largest time stamp of any packet in it."""
        self._end(max(clock, self.clock))
        yield from self._written.drain()

    def turn(self, now: int) -> Iterator[ConnectionBatch]:
        """The clock has come to `now`, packets or not; yields all that is final by then."""
        self.clock = max(self.clock, now)
        self._turn()
        yield from self._written.drain()

    @property
    def live(self) -> int:
        """How many connections there are, those that only wait for late packets included."""
        return len(self._live)

    def oldest(self) -> int | None:
        """Start of the earliest connection without a verdict."""
        return min((each.start for each, _ in self._live.values() if not each.judged), default=None)

    def serve(self, ports: frozenset[int]) -> None:
        """From now on these are the server ports."""
        self.limits = replace(self.limits, server_ports=ports)

    def tighten(self) -> None:
        """Halve the sample: connections that are no longer in it leave."""
        if self.sampling.threshold == 1:
            return
        self._halve(self._halvings + 1)
        for key, (connection, _) in list(self._live.items()):
            if self.sampling.takes(*connection.client):
                connection.halvings = max(connection.halvings, self._halvings)
            else:
                self.counters[Counter.unsampled] += not connection.judged
                self._forget(key)

    def loosen(self) -> None:
        """Double the sample again, up to the one at the beginning."""
        self._halve(max(self._halvings - 1, 0))

    def _halve(self, times: int) -> None:
        self._halvings = times
        self.sampling = Sampling(self._largest.key, self._largest.threshold >> times)

    # -- packets ---------------------------------------------------------------------------------

    def _segment(self, row: Any, payload: bytes) -> None:
        source = (int(row["src_hi"]), int(row["src_lo"]), int(row["src_port"]))
        target = (int(row["dst_hi"]), int(row["dst_lo"]), int(row["dst_port"]))
        key = (min(source, target), max(source, target))
        packet = Packet(
            ts=int(row["ts"]), seq=int(row["seq"]), ack=int(row["ack"]), flags=int(row["flags"]),
            length=int(row["payload_length"]), window=int(row["window"]), ttl=int(row["ttl"]),
            ip_id=int(row["ip_id"]), options_hash=int(row["options_hash"]),
        )  # fmt: skip
        connection, wait = self._find(key)
        tags: set[Tag] = set()
        if connection is not None and connection.client == source:
            if wait != Wait.judged and self._is_copy(connection, packet):
                return
            if not (opens(packet.flags) and packet.seq != connection.isn):
                self._inbound(key, connection, packet, payload)
                return
            self._replace(key, connection, packet.ts)
            tags.add(Tag.port_reuse)
        elif connection is not None:
            turned = opens(packet.flags) and wait in (Wait.judged, Wait.ended)
            if not (turned and self._is_server(target)):
                self._answer(key, connection, packet)
                return
            self._replace(key, connection, packet.ts)
        if not self._is_server(target):
            outgoing = self._is_server(source) and not opens(packet.flags)
            self.counters[Counter.no_syn if outgoing else Counter.not_server] += 1
        elif opens(packet.flags):
            self._open(key, source, target, packet, row, payload, tags)
        else:
            self.counters[Counter.no_syn] += 1

    def _open(
        self, key: Key, client: Endpoint, server: Endpoint,
        packet: Packet, row: Any, payload: bytes, tags: set[Tag],
    ) -> None:  # fmt: skip
        if not self.sampling.takes(*client):
            self.counters[Counter.not_sampled] += 1
            return
        if len(self._live) >= self.limits.max_connections:
            self._evict()
        tags |= scanner_tags(packet, server, int(row["traits"]), int(row["options"]))
        connection = Connection(
            client, server, packet.seq, packet.ts, packet.ts, tags, halvings=self._halvings
        )
        self.counters[Counter.connections] += 1
        if self._telling:
            self.stories.append(Story(connection))
            self._story_of[id(connection)] = self.stories[-1]
        self._live[key] = connection, Wait.syn_only
        self._link(key, self._due(connection, Wait.syn_only))
        self._keep(key, connection, packet, payload)

    def _is_copy(self, connection: Connection, packet: Packet) -> bool:
        """D14: a copy takes no place; of a RST only if its IP-ID or other copies speak for it."""
        if not any(packet.is_copy_of(kept) for kept in connection.packets):
            return False
        if packet.reset and not packet.ip_id and not connection.duplicates:
            return False
        connection.duplicates += 1
        self.counters[Counter.duplicates] += 1
        self._tell(connection, "client", packet, "the same packet recorded again, takes no place (D14)")
        return True

    def _inbound(self, key: Key, connection: Connection, packet: Packet, payload: bytes) -> None:
        connection.last = max(connection.last, packet.ts)
        if connection.judged:
            self.counters[Counter.late] += 1
            self._tell(connection, "client", packet, "late: the verdict was already fixed (D1)")
            self._rank(key, connection)
        elif len(connection.packets) == PACKETS_KEPT:
            self.counters[Counter.late] += 1
            if connection.repeats(packet, connection.packets):
                self._tell(connection, "client", packet, "late: a repeat after the tenth packet (D8)")
            else:
                self._tell(connection, "client", packet, "late: something new after the tenth packet (D8)")
                self._emit(connection, judge(connection, self.limits, 0, at_end=False, more=True))
            self._rank(key, connection)
        else:
            self._keep(key, connection, packet, payload)

    def _keep(self, key: Key, connection: Connection, packet: Packet, payload: bytes) -> None:
        note = "opens the connection" if not connection.packets else ""
        if connection.packets and connection.repeats(packet, connection.packets):
            note = "a repeat"
        connection.packets.append(packet)
        if packet.reset:
            bare = not packet.flags & Flag.ACK
            if connection.client_reset and bare and packet.seq in connection.answers.acks_after_reset:
                connection.echoes += 1
                note = "echoes an ack of the server sent after the first RST (D13)"
            if connection.stray(packet, connection.highest(connection.packets)):
                note = "of another connection on these ports (D16)"
            else:
                connection.client_reset = True
        elif not packet.syn:
            connection.void_refusal()
        connection.take_first_bytes(packet, payload)
        self._tell(connection, "client", packet, note)
        if len(connection.packets) == PACKETS_KEPT and (
            client_ended(connection) or not is_retransmitting(connection, self.limits)
        ):
            self._emit(connection, judge(connection, self.limits, 0, at_end=False))
        self._rank(key, connection)

    def _answer(self, key: Key, connection: Connection, packet: Packet) -> None:
        """A packet of the server's side (D9, D17)."""
        if connection.judged:
            return
        answers = connection.answers
        if any(packet.is_copy_of(other) for other in answers.recent):
            self.counters[Counter.duplicates] += 1
            self._tell(connection, "server", packet, "the same packet recorded again (D14)")
            return
        answers.recent = [*answers.recent, packet][-2:]
        answers.seen = True
        if packet.acks and not connection.concerns(packet.ack):
            self._tell(connection, "server", packet, "acknowledges an older connection on these ports (D16)")
            return
        note = ""
        if packet.reset:
            if answers.first_rst is None:
                answers.first_rst = answers.furthest_rst = packet.seq
                answers.gave_up = packet.ts - connection.last > self.limits.idle_timeout
            elif packet.seq != answers.first_rst:
                answers.different_rsts = True
            assert answers.furthest_rst is not None
            if ahead(packet.seq, answers.furthest_rst) > 0:
                answers.furthest_rst = packet.seq
            if not answers.spoke and all(p.syn or p.reset for p in connection.packets):
                answers.refused = True
                note = "refuses the SYN (D9)"
            else:
                answers.reset = True
                note = "gives up after the client's silence (D9)" if answers.gave_up else "resets (D9)"
        else:
            answers.spoke = True
            length = packet.length + packet.syn + packet.fin
            end = (packet.seq + length) % 2**32
            if answers.end is None:
                answers.end = end
            else:
                if length and ahead(packet.seq, answers.end) < 0:
                    note = "a repeat"
                    if answers.repeated is None or ahead(end, answers.repeated) > 0:
                        answers.repeated = end
                if ahead(end, answers.end) > 0:
                    answers.end = end
            if packet.fin:
                answers.fin_end = end
                connection.server_fin_first |= not connection.client_reset
            if packet.acks:
                if answers.acked is None or ahead(packet.ack, answers.acked) > 0:
                    answers.acked = packet.ack
                if connection.client_reset and packet.ack not in answers.acks_after_reset:
                    answers.acks_after_reset = [*answers.acks_after_reset, packet.ack][-2:]
        self._tell(connection, "server", packet, note)
        self._rank(key, connection)

    def _unreachable(self, row: Any) -> None:
        """ICMP unreachable that quotes the SYN: from a router a tag, from the server a refusal (D9)."""
        client = (int(row["src_hi"]), int(row["src_lo"]), int(row["src_port"]))
        server = (int(row["dst_hi"]), int(row["dst_lo"]), int(row["dst_port"]))
        key = (min(client, server), max(client, server))
        connection, wait = self._find(key)
        if connection is None or wait == Wait.judged or connection.client != client:
            return
        if int(row["seq"]) != connection.isn or not all(p.syn or p.reset for p in connection.packets):
            return
        quoted = Packet(int(row["ts"]), connection.isn, 0, Flag.SYN, 0, 0, int(row["ttl"]), 0, 0)
        if row["traits"] & Trait.FROM_RESPONDER:
            connection.answers.seen = connection.answers.refused = True
            self._tell(connection, "server", quoted, "ICMP unreachable: refuses the SYN (D9)")
            self._rank(key, connection)
        else:
            connection.icmp_from_router = True
            self._tell(connection, "router", quoted, "ICMP unreachable (D9)")

    # -- time and room ---------------------------------------------------------------------------

    def _find(self, key: Key) -> tuple[Connection | None, Wait]:
        """The live connection of a 5-tuple; one whose silence is over is judged and gone."""
        connection, wait = self._live.get(key, (None, Wait.judged))
        if connection is not None and self.clock - connection.last > self._expiry[wait]:
            self._final(key, self._expiry[wait], at_end=False)
            return None, Wait.judged
        return connection, wait

    def _due(self, connection: Connection, wait: Wait) -> int:
        """The second in which to look at a connection: its silence is over by then."""
        second = (connection.last + self._expiry[wait]) // SECOND + 1
        return max(min(second, self._second + SLOTS - 1), self._second + 1)

    def _link(self, key: Key, second: int) -> None:
        self._wheel[self._live[key][1]].setdefault(second, {})[key] = None
        self._slot_of[key] = second

    def _unlink(self, key: Key) -> None:
        slots, second = self._wheel[self._live[key][1]], self._slot_of.pop(key)
        del slots[second][key]
        if not slots[second]:
            del slots[second]

    def _turn(self) -> None:
        """Look at those whose second has come; whose silence is over is final."""
        now = self.clock // SECOND
        if not self._live:
            self._second = now
        self._second = max(self._second, now - SLOTS)
        while self._second < now:
            for wait in Wait:
                for second in [s for s in self._wheel[wait] if s <= self._second + 1]:
                    for key in list(self._wheel[wait].get(second, ())):
                        connection = self._live[key][0]
                        if self.clock - connection.last > self._expiry[wait]:
                            self._final(key, self._expiry[wait], at_end=False)
                        else:
                            self._unlink(key)
                            self._link(key, max(self._due(connection, wait), self._second + 2))
            self._second += 1

    def _rank(self, key: Key, connection: Connection) -> None:
        """Let a connection wait for what it now has to wait for."""
        _, before = self._live[key]
        if connection.judged:
            wait = Wait.judged
        elif has_ended(connection):
            wait = Wait.ended
        elif all(p.syn for p in connection.packets):
            wait = Wait.syn_only
        else:
            wait = Wait.open
        if wait != before:
            self._unlink(key)
            self._live[key] = connection, wait
            self._link(key, self._due(connection, wait))

    def _replace(self, key: Key, connection: Connection, ts: int) -> None:
        """Another SYN takes the 5-tuple (D3)."""
        silence = ts - connection.last
        if not connection.judged:
            if silence > self.limits.idle_timeout or has_ended(connection):
                self._emit(connection, judge(connection, self.limits, max(silence, 0), at_end=False))
            else:
                self._leave_out(connection, LeftOut.replaced, "another SYN took the 5-tuple at once (D3)")
        self._forget(key)

    def _evict(self) -> None:
        """Make room, counting and not judging: see `_whom_to_evict`."""
        key = self._whom_to_evict()
        connection, _ = self._live[key]
        if not connection.judged:
            self._leave_out(connection, LeftOut.evicted, "the flow table was full")
        self._forget(key)

    def _whom_to_evict(self) -> Key:
        """A judged one if there is any, else the one of the first wait that would be over first."""
        for wait in Wait:
            while slots := self._wheel[wait]:
                second = min(slots)
                key = next(iter(slots[second]))
                later = self._due(self._live[key][0], wait)
                if later <= second:
                    return key
                self._unlink(key)
                self._link(key, later)
        raise AssertionError("a full table holds connections")

    def _end(self, clock: int) -> None:
        self.clock = max(clock, self.clock)
        for key, (connection, wait) in list(self._live.items()):
            silence = self.clock - connection.last
            if silence > self._expiry[wait]:
                self._final(key, self._expiry[wait], at_end=False)
            else:
                self._final(key, silence, at_end=True)
        self.clock = self._second = 0

    def _final(self, key: Key, silence: int, *, at_end: bool) -> None:
        connection, _ = self._live[key]
        if not connection.judged:
            self._emit(connection, judge(connection, self.limits, silence, at_end=at_end))
        self._forget(key)

    def _forget(self, key: Key) -> None:
        self._unlink(key)
        connection, _ = self._live.pop(key)
        self._story_of.pop(id(connection), None)

    # -- who is a server, what goes out ----------------------------------------------------------

    def _is_server(self, end: Endpoint) -> bool:
        high, low, port = end
        if self.limits.server_ports and port not in self.limits.server_ports:
            return False
        if not self.limits.server_nets:
            return True
        address = IPv6Address(high << 64 | low)
        mapped = address.ipv4_mapped
        return any(
            (mapped is not None and mapped in net)
            if net.version == 4
            else (mapped is None and address in net)
            for net in self.limits.server_nets
        )

    def _tell(self, connection: Connection, side: str, packet: Packet, note: str) -> None:
        story = self._story_of.get(id(connection))
        if story is not None:
            story.events.append(Event(side, packet, note))

    def _leave_out(self, connection: Connection, left_out: LeftOut, reason: str) -> None:
        verdict = judge(connection, self.limits, 0, at_end=True)
        verdict.stage, verdict.left_out, verdict.signature = Stage.undecided, left_out, 0
        verdict.reasons = [f"left out, {left_out.name}: {reason}"]
        self._emit(connection, verdict)

    def _emit(self, connection: Connection, verdict: Verdict) -> None:
        connection.judged = True
        self.counters[_LEFT_OUT[verdict.left_out]] += 1
        story = self._story_of.get(id(connection))
        if story is not None:
            story.verdict = verdict
        self._written.add(connection, verdict)
