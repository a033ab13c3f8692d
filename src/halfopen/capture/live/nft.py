"""Rules of nftables that log to an NFLOG group what a sensor needs to see, and not much more.

They only ever leave packets out by what is known of them: a packet that belongs to no connection the firewall
knows (a forged reset, as a rule), or whose connection it does not count, is logged.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, collapse_addresses
from typing import Final

from halfopen.capture.live.nflog_socket import QUEUED
from halfopen.errors import UsageError
from halfopen.model import PACKETS_KEPT

TABLE: Final = "halfopen_sense"

MOST: Final = (1 << 32) - 1
"""For the firewall a sample cannot be smaller than one connection in so many."""

_TEXT: Final = """\
# What `halfopen sense --nflog {group}{sample}` sees, for nftables.
#
# Load it:    nft -f FILE    (once more: it takes the place of what was loaded)
# Remove it:  nft delete table inet {TABLE}
# It needs:   sysctl -w net.netfilter.nf_conntrack_acct=1    (newer kernels set it as they load this)
#             Without it packets are not counted, and all of a connection are logged instead of the first {PACKETS_KEPT}; so
#             they are for connections that are older than the setting.
{secret}
table inet {TABLE}
delete table inet {TABLE}

table inet {TABLE} {{
{sets}
	# Connection tracking (-200) has counted the packet, and addresses are still those that the client sent to.
	chain inbound {{
		type filter hook prerouting priority mangle; policy accept;
{inbound}
		# Of packets without a connection nothing is known here: they go on.
		ct original packets > {PACKETS_KEPT} return
		{log}
	}}

	# Of the server's packets only those that begin or end; addresses are again those that the client knows.
	chain outbound {{
		type filter hook postrouting priority srcnat + 50; policy accept;
{outbound}
		{log}
	}}
}}
"""

_SECRET: Final = """\
#
# Keep it to yourself: who knows the seed can choose addresses and ports that are never in the sample.
"""


def rules(
    group: int,
    ports: Collection[int],
    nets: Sequence[IPv4Network | IPv6Network],
    many: int,
    snaplen: int,
) -> str:
    """A table of rules, as ``nft -f`` reads it, for servers at `ports` of `nets` (none: everywhere).

    One connection in `many` is logged, chosen by the client's address and port under a seed made for this text, from
    each packet the first `snaplen` bytes.
    """
    if not ports:
        raise UsageError("--server-port", "none", "ports; no program listens to any here")
    if not 1 <= many <= MOST:
        raise UsageError("--sample", many, f"1 to {MOST:,} where the firewall samples")
    own = {
        "ip": [str(net) for net in collapse_addresses(net for net in nets if isinstance(net, IPv4Network))],
        "ip6": [str(net) for net in collapse_addresses(net for net in nets if isinstance(net, IPv6Network))],
    }
    seed = secrets.randbits(32)
    return _TEXT.format(
        TABLE=TABLE,
        PACKETS_KEPT=PACKETS_KEPT,
        group=group,
        sample=f" --sample {many}" if many > 1 else "",
        secret=_SECRET if many > 1 else "",
        sets="\n".join(_sets(ports, own)),
        inbound=_returns([*_elsewhere("d", own), *_unsampled("s", many, seed)]),
        outbound=_returns([*_elsewhere("s", own), _AMIDST, *_unsampled("d", many, seed)]),
        log=f"log group {group} snaplen {snaplen} queue-threshold {QUEUED}",
    )


_ADDRESSES: Final = {"ip": "ipv4_addr", "ip6": "ipv6_addr"}
"""Kinds of addresses by the family of packets that have them."""

_AMIDST: Final = "tcp flags & (fin | syn | rst) == 0x0"
"""Packets that neither begin nor end anything."""


def _sets(ports: Collection[int], own: dict[str, list[str]]) -> Iterator[str]:
    yield _set("ports", "inet_service", map(str, sorted(ports)))
    for family, nets in own.items():
        if nets:
            yield _set(f"{family}_nets", f"{_ADDRESSES[family]}; flags interval", nets)


def _set(name: str, kind: str, elements: Iterable[str]) -> str:
    return f"\tset {name} {{\n\t\ttype {kind}\n\t\telements = {{ {', '.join(elements)} }}\n\t}}\n"


def _elsewhere(end: str, own: dict[str, list[str]]) -> Iterator[str]:
    """Packets whose server, at the destination (d) or source (s), is none of ours."""
    yield "meta l4proto != tcp"
    yield f"tcp {end}port != @ports"
    if any(own.values()):
        for family, nets in own.items():
            yield f"{family} {end}addr != @{family}_nets" if nets else f"meta protocol {family}"


def _unsampled(end: str, many: int, seed: int) -> Iterator[str]:
    """Packets whose client, at the other end, is not in the sample."""
    if many > 1:
        for family in _ADDRESSES:
            yield f"jhash {family} {end}addr . tcp {end}port mod {many} seed {seed:#010x} != 0"


def _returns(packets: Iterable[str]) -> str:
    return "\n".join(f"\t\t{which} return" for which in packets)
