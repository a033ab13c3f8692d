"""The readable judge: from what was kept of a connection to stage, signature, tags and evidence.

Every rule that takes part leaves a line in `Verdict.reasons`; the kernel (`judge.py`) does the
same without words, and a property test holds the two against each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from halfopen.connections.limits import STRAY_REACH, Limits
from halfopen.connections.reference.connection import Connection, Packet, ahead, opens
from halfopen.connections.rules import SIGNATURES, Acks, Signature, Tag
from halfopen.model import (
    NO_TIME,
    PACKETS_KEPT,
    SECOND,
    UNKNOWN_DELTA,
    Flag,
    LeftOut,
    Relation,
    Stage,
)


@dataclass(slots=True)
class Verdict:
    """What one connection is called, and why."""

    stage: Stage = Stage.undecided
    left_out: LeftOut = LeftOut.decided
    signature: int = 0
    tags: set[Tag] = field(default_factory=set)
    ttl_delta: int = UNKNOWN_DELTA
    ip_id_delta: int = UNKNOWN_DELTA
    seq_delta: int = UNKNOWN_DELTA
    relation: Relation = Relation.unknown
    gap: int = NO_TIME
    resets: int = 0
    reset_acks: int = 0
    data_after_reset: int = 0
    reasons: list[str] = field(default_factory=list)


def stage_reached(connection: Connection) -> tuple[Stage, str]:
    """How far the client came, by flags and sequence numbers alone (D5)."""
    packets = connection.packets
    data = connection.data(packets)
    pushed = {end for packet, _, end in data if packet.flags & Flag.PSH or packet.syn}
    pushes = len(pushed) + (max((end for *_, end in data), default=0) > max(pushed, default=0))
    if not pushes and any(
        p.flags & Flag.PSH and p.length == 0 and not p.reset and not p.syn and not p.fin for p in packets
    ):
        pushes = 1
    if pushes > 1:
        return Stage.later_in_flow, f"data was pushed {pushes} times"
    if pushes:
        return Stage.post_psh, "data was pushed once"
    if any(p.acks and not p.syn for p in packets):
        return Stage.post_ack, "the client acknowledged and sent no data"
    return Stage.post_syn, "nothing but SYN"


def is_answered(connection: Connection) -> bool:
    """After its last new data the client acknowledged more than before, be it by its RST+ACK (D1)."""
    data = connection.data(connection.packets)
    last = max((end for *_, end in data), default=0)
    first_acks = [packet.ack for packet, _, end in data if end == last and packet.acks]
    if not first_acks:
        return False
    before = first_acks[0]
    for ack in first_acks[1:]:
        before = ack if ahead(ack, before) < 0 else before
    return any(p.flags & Flag.ACK and ahead(p.ack, before) > 0 for p in connection.packets)


def unacknowledged(connection: Connection) -> tuple[bool, bool]:
    """Whether either side has something outstanding, and whether any of it was never repeated (D17)."""
    answers = connection.answers
    outstanding = never_repeated = False
    if answers.end is not None:
        mine = [ahead(answers.end, p.ack) for p in connection.packets if p.acks]
        if not mine or min(mine) > 0:
            outstanding = True
            repeated = answers.repeated
            never_repeated |= repeated is None or not all(
                ahead(repeated, p.ack) > 0 for p in connection.packets if p.acks
            )
    if answers.acked is not None:
        acked = connection.relative(answers.acked)
        data = connection.data(connection.packets)
        if max((end for *_, end in data), default=0) > acked:
            outstanding = True
            repeated_end = max(
                (
                    min(end, earlier_end)
                    for i, (_, start, end) in enumerate(data)
                    for _, earlier_start, earlier_end in data[:i]
                    if start < earlier_end and earlier_start < end
                ),
                default=0,
            )
            never_repeated |= repeated_end <= acked
    return outstanding, never_repeated


def is_retransmitting(connection: Connection, limits: Limits) -> bool:
    """The last five of ten packets are repeats and span more than the idle timeout (D8)."""
    packets = connection.packets
    return (
        len(packets) == PACKETS_KEPT
        and packets[-1].ts - packets[-5].ts > limits.idle_timeout
        and all(connection.repeats(packets[i], packets[:i]) for i in range(PACKETS_KEPT - 5, PACKETS_KEPT))
    )


def real_resets(connection: Connection) -> list[Packet]:
    """The client's RSTs without the stray ones (D16), in order of arrival."""
    highest = connection.highest(connection.packets)
    return [p for p in connection.packets if p.reset and not connection.stray(p, highest)]


def foreign_resets(connection: Connection) -> bool:
    """Two RSTs in the server's name, one of them ahead of all it sent (D9)."""
    answers = connection.answers
    if not answers.different_rsts or answers.end is None or answers.furthest_rst is None:
        return False
    return 0 < ahead(answers.furthest_rst, answers.end) < STRAY_REACH


def ack_relation(resets: list[Packet]) -> Acks:
    """How the ack numbers of several bare RSTs relate."""
    acks = {p.ack for p in resets}
    if len(acks) == 1:
        return Acks.same
    return Acks.differ_zero if 0 in acks else Acks.differ


def find_signature(stage: Stage, bare: list[Packet], with_ack: list[Packet]) -> int:
    """The one row of the table that fits, 0 if none does (D13)."""

    def fits(s: Signature) -> bool:
        return (
            s.stage == stage
            and s.resets[0] <= len(bare) <= s.resets[1]
            and s.reset_acks[0] <= len(with_ack) <= s.reset_acks[1]
            and (s.acks == Acks.any or s.acks == ack_relation(bare))
        )

    return next((s.number for s in SIGNATURES if fits(s)), 0)


def reset_tags(bare: list[Packet], with_ack: list[Packet]) -> set[Tag]:
    """Which kinds of resets came, and how the ack numbers of bare ones relate."""
    if bare and with_ack:
        return {Tag.rst_and_rstacks}
    if with_ack:
        return {Tag.single_rstack if len(with_ack) == 1 else Tag.multiple_rstacks}
    if len(bare) == 1:
        return {Tag.single_rst}
    relation = ack_relation(bare)
    if relation == Acks.same:
        return {Tag.multiple_rsts, Tag.acknumsame if bare[0].ack else Tag.acknumsame0}
    return {Tag.multiple_rsts, Tag.acknumdiff0 if relation == Acks.differ_zero else Tag.acknumdiff}


def widest(deltas: list[int]) -> int:
    """The difference farthest from zero, the first of equals; UNKNOWN_DELTA if there is none."""
    return max(deltas, key=abs, default=UNKNOWN_DELTA)


def add_reset_evidence(verdict: Verdict, connection: Connection, resets: list[Packet]) -> None:
    """Compare the resets with the client's other packets; order of arrival counts here."""
    packets = connection.packets
    ttl_deltas, ip_id_deltas = [], []
    for reset in resets:
        at = next(i for i, p in enumerate(packets) if p is reset)
        other = next(p for p in reversed(packets[:at]) if not p.reset)
        ttl_deltas.append(reset.ttl - other.ttl)
        if reset.ip_id and other.ip_id:
            ip_id_deltas.append((reset.ip_id - other.ip_id + 2**15) % 2**16 - 2**15)
    verdict.ttl_delta, verdict.ip_id_delta = widest(ttl_deltas), widest(ip_id_deltas)
    first = resets[0]
    at = next(i for i, p in enumerate(packets) if p is first)
    verdict.gap = max(first.ts - max(p.ts for p in packets[:at]), 0)
    behind = connection.relative(first.seq) - connection.highest(packets[:at])
    verdict.seq_delta = max(behind, UNKNOWN_DELTA + 1)
    verdict.relation = (
        Relation.in_window if verdict.seq_delta == 0
        else Relation.behind_data if verdict.seq_delta < 0
        else Relation.ahead
    )  # fmt: skip
    verdict.data_after_reset = sum(p.length > 0 and not p.reset for p in packets[at + 1 :])
    verdict.resets = sum(not p.flags & Flag.ACK for p in resets)
    verdict.reset_acks = len(resets) - verdict.resets


def client_ended(connection: Connection) -> bool:
    """FIN or RST of the client so far."""
    return any(p.fin for p in connection.packets) or bool(real_resets(connection))


def has_ended(connection: Connection) -> bool:
    """FIN or RST of the client, or RST of the server, so far (D1)."""
    return client_ended(connection) or connection.answers.refused or connection.answers.reset


def judge(
    connection: Connection, limits: Limits, silence: int, *, at_end: bool, more: bool = False
) -> Verdict:
    """The verdict on a connection that has been silent for `silence` ns.

    `at_end`: the capture ends here (D1); else the silence was waited for. `more`: a packet that
    was no repeat came after the tenth (D8).
    """
    verdict = Verdict()
    say = verdict.reasons.append
    tags = verdict.tags
    answers = connection.answers
    packets = connection.packets
    reached, why = stage_reached(connection)
    say(f"stage reached: {reached.name}, {why} (D5)")
    resets = real_resets(connection)
    bare = [p for p in resets if not p.flags & Flag.ACK]
    with_ack = [p for p in resets if p.flags & Flag.ACK]
    fin = any(p.fin for p in packets)
    answered = is_answered(connection)
    foreign = not limits.partial and foreign_resets(connection)
    retransmitting = is_retransmitting(connection, limits) and not more
    full = len(packets) == PACKETS_KEPT

    tags |= connection.tags
    if sum(opens(p.flags) for p in packets) > 1:
        tags.add(Tag.syn_retransmitted)
    if any(p.syn and p.length for p in packets):
        tags.add(Tag.syn_payload)
    if len(resets) < sum(p.reset for p in packets):
        tags.add(Tag.stray_rst)
    if answered:
        tags.add(Tag.answered)
    if foreign:
        tags.add(Tag.foreign_rst)
    if connection.icmp_from_router:
        tags.add(Tag.icmp_unreachable)
    if not answers.seen and all(p.syn or p.reset for p in packets):
        tags.add(Tag.unanswered)
    if resets:
        add_reset_evidence(verdict, connection, resets)
        tags |= reset_tags(bare, with_ack)

    def no_match(reason: str, *named: Tag) -> Verdict:
        verdict.stage = Stage.no_match
        tags.update(named)
        say(f"no_match: {reason}")
        return verdict

    def leave_out(left_out: LeftOut, reason: str) -> Verdict:
        verdict.left_out = left_out
        say(f"left out, {left_out.name}: {reason}")
        return verdict

    if answers.refused:
        return no_match(
            "the server refused the SYN, and the client sent nothing more than SYN and RST (D9)", Tag.refused
        )
    if resets or foreign:
        verdict.stage = reached
        tags.add(Tag.reset)
        if fin:
            tags.add(Tag.fin)
        if connection.server_fin_first:
            tags.add(Tag.server_fin)
        if verdict.gap > limits.idle_timeout:
            tags.add(Tag.idle)
        if resets:
            verdict.signature = find_signature(reached, bare, with_ack)
            say(f"reset: {len(bare)} RST and {len(with_ack)} RST+ACK from the client's address (D7, D13)")
        else:
            say("reset: two RSTs in the server's name, one ahead of all the server sent (D9)")
        return verdict
    if fin:
        return no_match("the client sent a FIN and no RST (D7)")
    if answers.reset and not (answers.gave_up and not answered):
        return no_match("the server reset the connection, the client did not (D9)", Tag.server_reset)
    if full and not retransmitting:
        return no_match("ten packets, no FIN and no RST that counts (D8)")
    if at_end and silence <= limits.idle_timeout:
        return leave_out(
            LeftOut.undecided, f"silent for only {silence / SECOND:g} s when the capture ended (D1)"
        )
    if answers.fin_end is not None and any(p.acks and ahead(p.ack, answers.fin_end) >= 0 for p in packets):
        return no_match(
            "the server closed, the client acknowledged it and fell silent (D9)", Tag.server_closed
        )
    if reached == Stage.later_in_flow:
        return no_match("silence after more than one push is no timeout (D6)")
    if reached in (Stage.post_ack, Stage.post_psh):
        outstanding, never_repeated = (False, False) if limits.partial else unacknowledged(connection)
        if never_repeated:
            return leave_out(LeftOut.broke_off, "something unacknowledged was never repeated (D17)")
        if at_end and reached == Stage.post_psh and answered and not outstanding and silence <= limits.linger:
            return leave_out(LeftOut.undecided, "answered and idle when the capture ended (D1)")
    verdict.stage = reached
    verdict.gap = silence
    tags.add(Tag.timeout)
    if retransmitting:
        tags.add(Tag.retransmitting)
    verdict.signature = find_signature(reached, bare, with_ack)
    say(f"timeout: more than {limits.idle_timeout / SECOND:g} s of silence without an ending (D1)")
    return verdict
