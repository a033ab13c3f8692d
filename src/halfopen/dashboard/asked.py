"""What a page of resets and timeouts is asked for: the state that stands in its URL, in the words of the API."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlencode

from halfopen.dashboard.asking import Asking, Query
from halfopen.radar.windows import HOUR, Window, relative_window, stamp, time_of
from halfopen.store.query import QUARTER

RANGES: Final[Mapping[str, str]] = {
    "1d": "last 24 hours",
    "7d": "last 7 days",
    "14d": "last 14 days",
    "28d": "last 28 days",
    "12w": "last 12 weeks",
    "52w": "last 52 weeks",
}
INTERVALS: Final[Mapping[str, str]] = {
    "": "automatic",
    "15m": "15 minutes",
    "1h": "1 hour",
    "1d": "1 day",
    "1w": "1 week",
}
FILTERS: Final[Mapping[str, str]] = {
    "location": "Country",
    "asn": "Network",
    "continent": "Continent",
    "signature": "Signature",
    "tag": "Tag",
    "ipVersion": "IP version",
    "serverPort": "Port of the server",
    "sensor": "Sensor",
}
"""Each filter and what it is called."""

_DEFAULT: Final = "7d"
_SEARCHED: Final = {"location": ("LOCATIONS", r"-?[A-Za-z]{2}"), "asn": ("ASNS", r"-?[0-9]{1,10}")}
"""Filters that are found by typed names: what is searched, and what a code looks like."""


@dataclass(frozen=True)
class Asked:
    """What is wanted: a window, filters, an interval, and whether beside the control window.

    A range ends with the quarter of an hour that is over (`now`, s): every question of a page is about the same time.
    """

    now: int
    date_range: str
    start: str
    end: str
    interval: str
    compare: bool
    filters: Mapping[str, str]

    @classmethod
    def of(cls, query: Mapping[str, str], now: float | None = None) -> Asked:
        """The state of a URL, at a time (s; default: now); what is not there has its default."""
        start, end = query.get("dateStart", "").strip(), query.get("dateEnd", "").strip()
        chosen = {name: query[name].strip() for name in FILTERS if query.get(name, "").strip()}
        at = int(time.time() if now is None else now)
        return cls(
            at - at % QUARTER,
            "" if start or end else query.get("dateRange", "").strip() or _DEFAULT,
            start,
            end,
            query.get("aggInterval", "").strip(),
            bool(query.get("compare")),
            chosen,
        )

    @property
    def window(self) -> Window | None:
        """The window, None where it cannot be read."""
        if self.date_range:
            found = relative_window(self.date_range, self.now)
            later = self.now % HOUR  # the API's own ranges end with an hour
            return found and Window(found.start + later, found.end + later)
        start, end = map(time_of, (_zoned(self.start), _zoned(self.end)))
        return None if start is None or end is None or start < 0 or end <= start else Window(start, end)

    @property
    def api(self) -> Query:
        """Window and filters as the API is asked for them; one that cannot be read as it stands, for the API to say so."""
        window = self.window
        return [*(self._said if window is None else _dates(window)), *self.filters.items()]

    @property
    def control(self) -> Query:
        """As `api`, of the control window."""
        window = self.window
        return self.api if window is None else [*_dates(window.control), *self.filters.items()]

    @property
    def both(self) -> Query:
        """The window and its control as two series of one question."""
        return [("name", "now"), ("name", "before"), *self.api, *self.control]

    @property
    def stepped(self) -> Query:
        """The interval, where one is chosen."""
        return [("aggInterval", self.interval)] if self.interval else []

    @property
    def _said(self) -> Query:
        if self.date_range:
            return [("dateRange", self.date_range)]
        return [("dateStart", _zoned(self.start)), ("dateEnd", _zoned(self.end))]

    @property
    def state(self) -> Query:
        """What stands in the URL."""
        compared = [("compare", "1")] if self.compare else []
        return [*self._said, *self.filters.items(), *self.stepped, *compared]

    def url(self, path: str = "", **changed: str | None) -> str:
        """The URL of this state with some of it changed, or None: taken away."""
        state = {name: value for name, value in self.state if name not in changed}
        if "dateRange" in changed:
            state = {name: value for name, value in state.items() if name not in ("dateStart", "dateEnd")}
        state |= {name: value for name, value in changed.items() if value is not None}
        return f"{path}?{urlencode(state, quote_via=quote)}"


async def found(asked: Mapping[str, str], api: Asking) -> tuple[dict[str, str], list[str]]:
    """What was typed, with codes in the place of names of countries and networks; and in words what was not found."""

    async def one(name: str, text: str) -> tuple[str, str]:
        typed = [each.strip() for each in text.split(",") if each.strip()]
        codes = await asyncio.gather(*(_code(name, each, api) for each in typed))
        missing = [each for each, code in zip(typed, codes, strict=True) if code is None]
        faults.extend(f"{FILTERS[name]} {each!r} was not found in these data." for each in missing)
        return name, ",".join(code for code in codes if code is not None)

    faults: list[str] = []
    pairs = [(name, text) for name, text in asked.items() if name in _SEARCHED and text.strip()]
    changed = dict(await asyncio.gather(*(one(*pair) for pair in pairs)))
    return {**asked, **changed}, faults


async def suggestions(kind: str, text: str, api: Asking) -> list[dict[str, str]]:
    """Countries (`location`) or networks (`asn`) that a typed text may mean: code and name."""
    if kind not in _SEARCHED or not text.strip():
        return []
    told = await api.get(
        "/radar/search/global",
        [("query", text.strip()[:200]), ("include", _SEARCHED[kind][0]), ("limit", "8")],
    )
    return (
        [{"code": each["code"], "name": each["name"]} for each in told.result["search"]] if told.good else []
    )


async def _code(name: str, text: str, api: Asking) -> str | None:
    """The code of one typed value; a code is its own."""
    if name == "asn" and (number := re.fullmatch(r"(-?)[Aa][Ss] ?([0-9]{1,10})", text)):
        text = number[1] + number[2]
    if re.fullmatch(_SEARCHED[name][1], text):
        return text
    sign, plain = ("-", text[1:]) if text.startswith("-") else ("", text)
    matches: Iterable[dict[str, str]] = await suggestions(name, plain, api)
    return next((sign + each["code"] for each in matches), None)


def _dates(window: Window) -> Query:
    return [("dateStart", stamp(window.start)), ("dateEnd", stamp(window.end))]


def _zoned(text: str) -> str:
    """A time as a date field of a browser has it, in UTC."""
    return f"{text}:00Z" if re.fullmatch(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}", text) else text
