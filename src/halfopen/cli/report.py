"""A summary for people and for machines, and the counters in one line."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from halfopen.cli.summary import Summary, wilson
from halfopen.cli.text import columns, instant, printable
from halfopen.connections.rules import SIGNATURES, Tag, signature_id
from halfopen.model import SECOND, SKIPPED, STAGE_WORDS, STAGES, Counter, Stage, counts
from halfopen.pipeline import Account
from halfopen.places import Places

_APART: Final = (
    (Stage.post_syn, "never answered", (Tag.unanswered,)),
    (Stage.post_syn, "ICMP unreachable", (Tag.icmp_unreachable,)),
    (Stage.post_psh, "after an answer", (Tag.fin, Tag.server_fin, Tag.answered)),
    (Stage.later_in_flow, "after an answer", (Tag.fin, Tag.server_fin, Tag.answered)),
)
"""Parts of a stage that mean something else than the rest of it (D7, D9)."""

_NETWORKS: Final = 10
_SIGNATURES: Final = 10

_PACKETS: Final = {
    Counter.packets: "read",
    Counter.tcp: "TCP",
    Counter.tunnelled: "tunnelled: TCP inside another packet is no connection of this host",
    Counter.duplicates: "duplicates: recorded twice, counted once",
    Counter.no_syn: "no_syn: their connection began before the capture, or never",
    Counter.late: "late: after the verdict on their connection",
}
_CONNECTIONS: Final = {
    Counter.connections: "opened by a SYN",
    Counter.decided: "decided: all shares are of these",
    Counter.undecided: "undecided: the capture ended too early to tell",
    Counter.broke_off: "broke_off: the capture lost them",
    Counter.replaced: "replaced: another connection took their ports at once",
    Counter.evicted: "evicted: more were open at once than --max-connections",
    Counter.trigger_dropped: "trigger_dropped: no room to put their first bytes together",
}

_REASONS: Final = (Counter.undecided, Counter.broke_off, Counter.replaced, Counter.evicted)
"""Why connections are left out."""


def table(summary: Summary, account: Account, places: Places | None) -> str:
    """What a person reads."""
    return "\n".join(
        [
            _heading(summary, account),
            *shares(summary, places),
            "",
            *_counters(account),
        ]
    )


def shares(summary: Summary, places: Places | None) -> Iterator[str]:
    """Stages, signatures and networks, the lines of a table each."""
    yield from _stages(summary)
    yield from _signatures(summary)
    yield from _networks(summary, places)


def machine(summary: Summary, account: Account, places: Places | None) -> dict[str, object]:
    """The same for a program: every signature and every network, shares from 0 to 1."""
    return {
        **account.about(),
        "start": None if summary.start is None else instant(summary.start),
        "end": None if summary.end is None else instant(summary.end),
        "stages": {
            stage.name: {
                **_share(summary.stage(stage), summary.decided),
                "tags": {tag.name: count for tag, count in summary.tags(stage).items()},
            }
            for stage in STAGES
        },
        "signatures": {
            signature_id(number): {**_share(count, summary.decided), "rst_echo": echoed}
            for number, (count, echoed) in summary.signatures().items()
        },
        "networks": [
            {
                "asn": asn or None,
                "name": _name(places, asn) or None,
                "location": code or None,
                "connections": count,
                "cut": cut,
            }
            for (asn, code), (count, cut) in summary.networks().items()
        ],
        "places": _sources(places),
    }


def counters_line(account: Account) -> str:
    """All counters in one line; skipped packets by reason, where there are any."""
    number = counts(account.counters)
    packets = [f"{_number(number['packets'], 'packet')} read", f"{number['tcp']:,} TCP"]
    if reasons := _skipped(account):
        packets.append(f"{_all_skipped(account):,} skipped ({', '.join(reasons)})")
    packets += [f"{number[name]:,} {name}" for name in ("tunnelled", "duplicates", "no_syn", "late")]
    names = ("decided", "undecided", "broke_off", "replaced", "evicted")
    connections = [f"{number[name]:,} {name}" for name in names]
    if dropped := number["trigger_dropped"]:
        connections.append(f"{dropped:,} trigger_dropped")
    return f"{', '.join(packets)}; {_number(number['connections'], 'connection')}: {', '.join(connections)}"


def _heading(summary: Summary, account: Account) -> str:
    captures = _number(account.captures, "capture")
    if summary.start is None or summary.end is None:
        return f"{captures}: no connection that could be decided{_left_out(account)}"
    first, last = (
        datetime.fromtimestamp(time // SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S")
        for time in (summary.start, summary.end)
    )
    return (
        f"{captures}, {first} to {last} UTC: {summary.cut:,} of {_number(summary.decided, 'connection')} "
        f"{'was' if summary.decided == 1 else 'were'} cut ({_percent(summary.cut, summary.decided)}){_left_out(account)}"
    )


def _left_out(account: Account) -> str:
    """What the shares are not of, where there is any."""
    reasons = {counter.name: int(account.counters[counter]) for counter in _REASONS}
    if not (whole := sum(reasons.values())):
        return ""
    named = ", ".join(f"{name} {count:,}" for name, count in reasons.items() if count)
    return f"; {whole:,} more {'was' if whole == 1 else 'were'} left out: {named}"


def _stages(summary: Summary) -> Iterator[str]:
    if not summary.decided:
        return
    yield ""
    rows = [("Stage", "Connections", "Share", "95 % interval", "")]
    for stage in STAGES:
        count = summary.stage(stage)
        low, high = (f"{bound * 100:.2f}" for bound in wilson(count, summary.decided))
        share = _percent(count, summary.decided)
        rows.append((stage.name, f"{count:,}", share, f"{low} to {high} %", STAGE_WORDS[stage]))
        for apart, words, tags in _APART:
            if apart == stage and (part := summary.stage(stage, *tags)):
                named = _either([tag.name for tag in tags])
                rows.append(
                    (f"  {words}", f"{part:,}", _percent(part, summary.decided), "", f"tagged {named}")
                )
    yield from columns(rows, right=(1, 2, 3))


def _signatures(summary: Summary) -> Iterator[str]:
    found = summary.signatures()
    if not found:
        return
    rows = [("Signature", "Connections", "Share", "")]
    for number, (count, echoed) in list(found.items())[:_SIGNATURES]:
        words = SIGNATURES[number - 1].words if number else "a cut that fits none of the 19"
        if echoed:
            words += f" ({echoed:,} with a RST that only echoes the server's ack number)"
        rows.append((signature_id(number), f"{count:,}", _percent(count, summary.decided), words))
    yield ""
    yield from columns(rows, right=(1, 2))
    yield from _more(len(found) - _SIGNATURES, "signatures")


def _networks(summary: Summary, places: Places | None) -> Iterator[str]:
    found = summary.networks()
    if not found:
        return
    rows = [("Network", "Country", "Connections", "Cut", "Share cut", "95 % interval")]
    for (asn, code), (count, cut) in list(found.items())[:_NETWORKS]:
        name = printable(f"AS{asn} {_name(places, asn)}".rstrip()) if asn else "unknown"
        low, high = (f"{bound * 100:.2f}" for bound in wilson(cut, count))
        rows.append(
            (
                name,
                printable(code) or "unknown",
                f"{count:,}",
                f"{cut:,}",
                _percent(cut, count),
                f"{low} to {high} %",
            )
        )
    yield ""
    yield from columns(rows, right=(2, 3, 4, 5))
    yield from _more(len(found) - _NETWORKS, "networks")
    sources = _sources(places)
    yield f"Places: {printable('; '.join(sources))}" if sources else "Places: none given (--places)"


def _counters(account: Account) -> Iterator[str]:
    rows = []
    for title, words in (("Packets", _PACKETS), ("Connections", _CONNECTIONS)):
        for counter, meaning in words.items():
            rows.append((title, f"{account.counters[counter]:,}", meaning))
            title = ""
            if counter == Counter.tcp:
                reasons = ", ".join(_skipped(account))
                rows.append(
                    ("", f"{_all_skipped(account):,}", f"skipped: {reasons}" if reasons else "skipped")
                )
    yield from columns(rows, right=(1,))


def _all_skipped(account: Account) -> int:
    return sum(int(account.counters[reason]) for reason in SKIPPED)


def _skipped(account: Account) -> list[str]:
    reasons = []
    for counter in SKIPPED:
        if packets := int(account.counters[counter]):
            links = ", ".join(map(str, account.unknown_links)) if counter == Counter.unknown_link else ""
            reasons.append(f"{packets:,} {counter.name}{f' ({printable(links)})' if links else ''}")
    return reasons


def _name(places: Places | None, asn: int) -> str:
    return places.network_name(asn) if places is not None else ""


def _sources(places: Places | None) -> list[str]:
    return [str(source) for source in places.sources] if places is not None else []


def _more(count: int, what: str) -> Iterator[str]:
    if count > 0:
        yield f"and {count:,} more {what}"


def _either(names: list[str]) -> str:
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _percent(part: int, whole: int) -> str:
    return f"{part / whole * 100:.2f} %" if whole else "-"


def _share(part: int, whole: int) -> dict[str, object]:
    low, high = wilson(part, whole)
    return {"connections": part, "share": part / whole if whole else None, "low": low, "high": high}
