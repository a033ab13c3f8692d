"""Parameters of a query or a path: one record says what is accepted, in the document and at the door."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import parse_qsl

from halfopen.errors import Rejected, SizeError

Query = Mapping[str, tuple[str, ...]]
"""Values of a query by name, in the order they came, empty ones too."""


@dataclass(frozen=True)
class Parameter:
    """A parameter, in a query optional but where it is `required`.

    `accepted` completes the sentence "... is not" (A11). `values` are the only ones, where there are any; `pattern` is a
    regular expression that a whole value must match, and as such anchored; both in any case with `any_case`. A `repeated`
    one is an array of up to `most` elements: its key comes once for each, and an empty element says nothing. One that is
    not `checked` is only told of here: the check of its route knows better what is wrong with it. `formats` are JSON
    Schema's words for what a value may be; they are told, not checked.
    """

    name: str
    description: str
    accepted: str
    kind: Literal["string", "integer", "boolean"] = "string"
    repeated: bool = False
    pattern: str = ""
    values: tuple[str, ...] = ()
    any_case: bool = False
    least: int | None = None
    most: int | None = None
    formats: tuple[str, ...] = ()
    default: int | str | None = None
    required: bool = False
    checked: bool = True

    def accepts(self, value: str) -> bool:
        """Whether a single value has the declared form."""
        if self.kind == "integer":
            return _is_integer(value, self.least, self.most)
        if self.kind == "boolean":
            return value in ("true", "false")
        if self.values:
            if self.any_case:
                return value.casefold() in {each.casefold() for each in self.values}
            return value in self.values
        flags = re.IGNORECASE if self.any_case else re.NOFLAG
        return not self.pattern or re.fullmatch(self.pattern, value, flags | re.ASCII) is not None

    def rejected(self, values: Sequence[str]) -> Iterator[Rejected]:
        """What cannot be used among the values that came."""
        if not self.repeated and len(values) > 1:
            yield Rejected(self.name, values[1], words=f"given {len(values)} times, accepted is one")
            return
        if self.required and not any(values):
            yield Rejected(self.name, "", words=f"missing, accepted is {self.accepted}")
        for value in values:
            if "\0" in value:
                yield Rejected(self.name, "", words="a text with NUL (U+0000), accepted is none")
            elif value and self.checked and not self.accepts(value):
                yield Rejected(self.name, value, self.accepted)

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the parameter."""
        whole: dict[str, Any] = {"type": "array", "maxItems": self.most} if self.repeated else {}
        one: dict[str, Any] = {
            "type": self.kind, "pattern": self.pattern, "enum": list(self.values),
            "minimum": self.least, "maximum": None if self.repeated else self.most, "default": self.default,
        }  # fmt: skip
        whole, one = (_said(each) for each in (whole, one))
        several = [{"type": self.kind, "format": each} for each in self.formats]
        one |= several[0] if len(several) == 1 else {"anyOf": several} if several else {}
        return whole | {"items": one} if self.repeated else one


def _said(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if value not in ("", [], None)}


def read_query(raw: bytes, most: int) -> Query:
    """The values of a query string; SizeError where it has more than `most` fields."""
    text = raw.decode("latin-1")
    if text.count("&") >= most:
        raise SizeError(414, "query", most, "fields")
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        found.setdefault(name, []).append(value)
    return {name: tuple(values) for name, values in found.items()}


def rejected(parameters: Sequence[Parameter], query: Query) -> list[Rejected]:
    """Everything in a query that has not the declared form; what is not declared is left aside (A12)."""
    return [each for known in parameters for each in known.rejected(query.get(known.name, ()))]


def _is_integer(value: str, least: int | None, most: int | None) -> bool:
    if not re.fullmatch(r"-?[0-9]{1,15}", value):
        return False
    return (least is None or least <= int(value)) and (most is None or int(value) <= most)


PAGE: Final = Parameter(
    "page", "Number of the page, from 1.", "a whole number from 1 to 1,000,000",
    kind="integer", least=1, most=1_000_000, default=1,
)  # fmt: skip


def per_page(least: int, most: int, default: int) -> Parameter:
    """How many a page holds."""
    return Parameter(
        "per_page", "How many a page holds.", f"a whole number from {least:,} to {most:,}",
        kind="integer", least=least, most=most, default=default,
    )  # fmt: skip
