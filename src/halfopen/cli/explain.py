"""``halfopen explain``: why one connection got its label, packet by packet."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any, Final

from halfopen.cli import options
from halfopen.cli.text import address_and_port, columns, instant, printable
from halfopen.connections.rules import SIGNATURES, TAGS, Tag, signature_id
from halfopen.errors import HalfopenError, UsageError
from halfopen.model import (
    MAPPED_PREFIX,
    NO_TIME,
    SECOND,
    UNKNOWN_DELTA,
    Batch,
    Kind,
    Relation,
    TriggerKind,
    flag_names,
)

if TYPE_CHECKING:
    from halfopen.capture.source import Capture
    from halfopen.connections.limits import Limits
    from halfopen.connections.reference import Story

    Endpoint = tuple[int, int, int]

_SHOWN: Final = 40
"""Packets of one connection that are shown; only those after the verdict can be more."""

_RELATIONS: Final = {
    Relation.unknown: "no reset to compare",
    Relation.in_window: "exactly the next expected",
    Relation.behind_data: "behind data already sent",
    Relation.ahead: "ahead of the next expected",
}


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "explain",
        help="tell why one connection got its label",
        description="Every packet that counted, the rules that applied, the verdict and the evidence, "
        "for each connection of one client address and port.",
        allow_abbrev=False,
    )
    verb.add_argument(
        "file", metavar="FILE", help="a capture, a directory, a pattern, or - for standard input"
    )
    verb.add_argument(
        "client", metavar="CLIENT:PORT", type=client, help="as in 192.0.2.1:40000 or [2001:db8::1]:40000"
    )
    options.add_limits(verb)
    verb.set_defaults(run=run)


def client(text: str) -> tuple[IPv4Address | IPv6Address, int]:
    """Address and port as the command line gives them."""
    address, _, port = text.rpartition(":")
    try:
        found = ip_address(address[1:-1] if address.startswith("[") and address.endswith("]") else address)
        bare = isinstance(found, IPv6Address) and not address.startswith("[")
        if bare or not (port.isascii() and port.isdigit() and int(port) < 1 << 16):
            raise ValueError
    except ValueError:
        raise UsageError("CLIENT:PORT", text, "192.0.2.1:40000 or [2001:db8::1]:40000") from None
    return found, int(port)


def run(args: Namespace) -> int:
    """Tell the stories of all connections that the client's port opened."""
    from halfopen.capture.source import open_captures

    address, port = args.client
    number = int(address) | (MAPPED_PREFIX if address.version == 4 else 0)
    end = (number >> 64, number & 2**64 - 1, port)
    captures = open_captures([args.file], joined=args.joined)
    told = packets = 0
    for capture in captures:
        stories, seen = _stories(capture, end, options.limits(args))
        packets += seen
        for story in stories:
            print("\n\n" if told else "", end="")
            print("\n".join(_told(story, capture.name)))
            told += 1
        for problem in capture.problems:
            print(f"halfopen: {printable(str(problem))}", file=sys.stderr)
    if not any(capture.readable for capture in captures):
        raise HalfopenError("nothing was readable")
    if not told:
        where = f"{address_and_port(*end)} opens no connection in {args.file}"
        raise HalfopenError(f"{where}: {packets:,} packets to or from it, none of them its SYN (D2)")
    return 0


def _stories(capture: Capture, end: Endpoint, limits: Limits) -> tuple[list[Story], int]:
    """The connections that `end` opened, and how many packets came from it or went to it."""
    import numpy as np

    from halfopen.connections.reference import ReferenceTracker
    from halfopen.model import new_counters

    tracker = ReferenceTracker(limits, new_counters(), stories=True)
    seen = 0
    for batch in capture.batches():
        rows = batch.rows
        source, target = (
            (rows[f"{side}_hi"] == end[0]) & (rows[f"{side}_lo"] == end[1]) & (rows[f"{side}_port"] == end[2])
            for side in ("src", "dst")
        )
        seen += int((source | target).sum())
        # A broken clock ends the capture for every connection, and all packets move the clock.
        chosen, before = np.flatnonzero(source | target | (rows["kind"] == Kind.BREAK)), 0
        for row in chosen.tolist():
            tracker.clock = max(tracker.clock, int(rows["ts"][before : row + 1].max()))
            before = row + 1
            for _ in tracker.feed(Batch(rows[row:before], batch.data)):
                pass
        tracker.clock = max(tracker.clock, int(rows["ts"][before:].max(initial=0)))
    for _ in tracker.finish(capture.clock):
        pass
    return [story for story in tracker.stories if story.connection.client == end], seen


def _told(story: Story, file: str) -> Iterator[str]:
    connection, verdict = story.connection, story.verdict
    yield f"{address_and_port(*connection.client)} -> {address_and_port(*connection.server)} in {printable(file)}"
    yield f"first SYN at {instant(connection.start)}"
    yield ""
    yield from _packets(story)
    if verdict is None:
        return
    yield ""
    yield "Rules"
    yield from (f"  {reason}" for reason in verdict.reasons)
    yield ""
    rows = []
    if verdict.left_out:
        rows.append(("Verdict", "undecided", f"left out: {verdict.left_out.name}"))
    else:
        signature = SIGNATURES[verdict.signature - 1].words if verdict.signature else ""
        rows.append(("Verdict", verdict.stage.name, ""))
        rows.append(("Signature", signature_id(verdict.signature), signature))
    for place, tag in enumerate(tag for tag in Tag if tag in verdict.tags):
        rows.append(("" if place else "Tags", tag.name, TAGS[tag]))
    for place, (name, value, words) in enumerate(_evidence(story)):
        rows.append(("" if place else "Evidence", f"{name} {value}", words))
    kind, host = connection.name
    visible = f"{kind.name} {printable(host.decode('utf-8', 'backslashreplace'))}"
    port = f"port {connection.server[2]}"
    rows.append(("Trigger", visible if kind != TriggerKind.none else "no name visible", port))
    yield from columns(rows)


def _packets(story: Story) -> Iterator[str]:
    connection = story.connection
    server_isn = _server_isn(story)
    mapped = connection.client[:2] == (0, connection.client[1] & 2**32 - 1 | MAPPED_PREFIX)
    rows = [("Time (s)", "From", "Flags", "Seq", "Ack", "Length", "Window", "TTL", "IP-ID", "")]
    for event in story.events[:_SHOWN]:
        packet = event.packet
        when = f"{(packet.ts - connection.start) / SECOND:.6f}"
        if event.note.startswith("ICMP"):
            rows.append((when, event.side, "-", "-", "-", "-", "-", str(packet.ttl), "-", event.note))
            continue
        ours, theirs = (connection.isn, server_isn)[:: -1 if event.side == "server" else 1]
        rows.append(
            (
                when,
                event.side,
                flag_names(packet.flags),
                _relative(packet.seq, ours),
                _relative(packet.ack, theirs) if packet.acknowledges else "-",
                str(packet.length),
                str(packet.window),
                str(packet.ttl),
                str(packet.ip_id) if mapped else "-",
                event.note,
            )
        )
    yield from columns(rows, right=(0, 3, 4, 5, 6, 7, 8))
    if len(story.events) > _SHOWN:
        yield f"and {len(story.events) - _SHOWN:,} more packets"
    if server_isn is not None:
        yield "Sequence and ack numbers count from each side's first."


def _server_isn(story: Story) -> int | None:
    """The server's first sequence number, from what the client acknowledged or else from its SYN."""
    first = story.connection.first_ack
    if first is not None:
        return first - 1
    syns = (event.packet for event in story.events if event.side == "server" and event.packet.syn)
    return next((packet.seq for packet in syns), None)


def _relative(number: int, first: int | None) -> str:
    if first is None:
        return str(number)
    return str((number - first + 2**31) % 2**32 - 2**31)


def _evidence(story: Story) -> Iterator[tuple[str, str, str]]:
    """Names as in the connection table, values, and what they mean."""
    verdict = story.verdict
    assert verdict is not None
    if verdict.resets or verdict.reset_acks:
        yield "resets", str(verdict.resets), "RST without ACK"
        yield "reset_acks", str(verdict.reset_acks), "RST with ACK"
        yield (
            "reset_echoes",
            str(story.connection.echoes),
            "RST that only echo an ack number of the server (D13)",
        )
        yield "ttl_delta", _known(verdict.ttl_delta), "TTL of the reset minus that of the packet before it"
        yield (
            "ip_id_delta",
            _known(verdict.ip_id_delta),
            "IP-ID of the reset minus that of the packet before it",
        )
        yield "seq_delta", _known(verdict.seq_delta), _RELATIONS[verdict.relation]
        yield "data_after_reset", str(verdict.data_after_reset), "packets with data after the first reset"
    if verdict.gap != NO_TIME:
        what = (
            "from the packet before it to the first reset"
            if verdict.resets or verdict.reset_acks
            else "of silence at least"
        )
        yield "gap", f"{verdict.gap / SECOND:.6f}", f"seconds {what}"
    yield "duplicates", str(story.connection.duplicates), "packets recorded twice (D14)"


def _known(delta: int) -> str:
    return "unknown" if delta == UNKNOWN_DELTA else f"{delta:+d}"
