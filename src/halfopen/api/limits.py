"""How much one may ask, and how much a request may hold."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from math import ceil
from time import monotonic
from typing import Final

_KNOWN: Final = 1 << 16
"""Buckets kept at once; beyond, the one that was used the longest ago goes, which is full again by then unless
more than that many ask within its window."""


@dataclass(frozen=True)
class Rate:
    """At most `requests` within `window` seconds, all at once or evenly."""

    requests: int
    window: int


@dataclass(frozen=True)
class Limits:
    """What a server grants: rates per principal, the pages of one, edge and address; of a request the bytes of its target
    (path and query), headers and body, and the number of fields of its query. A body has `body_grace` seconds to come, and
    one more for each `body_pace` bytes that came; the database of accounts has `patience` seconds to answer."""

    principal: Rate = Rate(1200, 300)
    pages: Rate = Rate(12_000, 300)  # one asks a dozen questions, and again whenever something changes
    edge: Rate = Rate(30_000, 300)  # it asks for everybody behind it
    address: Rate = Rate(200, 1)
    target: int = 16_384
    fields: int = 500
    headers: int = 32_768
    body: int = 1 << 20
    body_grace: float = 20.0
    body_pace: int = 1 << 16
    patience: float = 10.0


@dataclass(frozen=True)
class Standing:
    """What is left of a rate: whether this request is granted, requests left, seconds until all are back."""

    granted: bool
    left: int
    reset: int
    retry_after: int


class Buckets:
    """A bucket of tokens for each who asks: full at first, one request takes one, they flow back evenly.

    The counts are of this process: several that serve together grant each its own. Not for several threads.
    """

    def __init__(self, rate: Rate, name: str, clock: Callable[[], float] = monotonic) -> None:
        self._rate = rate
        self._clock = clock
        self._flow = rate.requests / rate.window
        self._filled: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._name = name

    def take(self, who: str) -> Standing:
        """Take one for a request of `who`."""
        now = self._clock()
        level, at = self._filled.pop(who, (float(self._rate.requests), now))
        level = min(level + (now - at) * self._flow, float(self._rate.requests))
        granted = level >= 1
        if granted:
            level -= 1
        self._filled[who] = (level, now)
        if len(self._filled) > _KNOWN:
            self._filled.popitem(last=False)
        return Standing(
            granted,
            left=int(level),
            reset=ceil((self._rate.requests - level) / self._flow),
            retry_after=0 if granted else max(ceil((1 - level) / self._flow), 1),
        )

    def headers(self, standing: Standing) -> dict[str, str]:
        """The headers that tell a client where it stands."""
        return {
            "ratelimit": f'"{self._name}";r={standing.left};t={standing.reset}',
            "ratelimit-policy": f'"{self._name}";q={self._rate.requests};w={self._rate.window}',
        }


def neighbourhood(address: str) -> str:
    """What counts as one address: an IPv6 client has a /64 of them to itself."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    mapped = parsed.ipv4_mapped
    return str(mapped) if mapped else str(IPv6Address(int(parsed) >> 64 << 64))
