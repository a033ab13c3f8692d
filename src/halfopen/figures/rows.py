"""Rows of networks or countries, read for drawing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from halfopen.figures.series import counted, percent

WIDE: Final = 30.0
"""Points (%) from which a 95 % interval says little: such rows are paler."""


@dataclass(frozen=True, slots=True)
class Row:
    """A network or a country; `share` is the part (%) of its connections that was cut, from `low` to `high` its 95 % interval."""

    code: str
    name: str
    connections: float
    cut: float
    share: float
    low: float
    high: float

    @property
    def wide(self) -> bool:
        """Whether the share is hardly known."""
        return self.high - self.low > WIDE

    def drawn(self) -> dict[str, Any]:
        """The fields that figures show, numbers in words beside those that are drawn."""
        return {
            "code": self.code, "title": self.name, "share": self.share, "low": self.low, "high": self.high,
            "opacity": 0.35 if self.wide else 1,
            "told": f"{percent(self.share)} of {counted(self.connections)}",
            "cut": f"{counted(self.cut)} of {counted(self.connections)} connections",
            "part": percent(self.share),
            "interval": f"{percent(self.low)} to {percent(self.high)}",
        }  # fmt: skip


WORDS: Final = ("title", "cut", "part", "interval")
"""The fields of a row that are words for who points at it."""


def rows_of(given: Iterable[Mapping[str, Any]]) -> list[Row]:
    """Rows of an answer of ``affected/...`` or like them, numbers as such or as text; those without connections are left out."""
    return [_row(each) for each in given if float(each["connections"])]


def _row(given: Mapping[str, Any]) -> Row:
    code = f"AS{given['code']}" if isinstance(given["code"], int) else given["code"]
    numbers = (float(given[field]) for field in ("connections", "cut", "share", "low", "high"))
    return Row(code, given["name"] or code, *numbers)
