"""What Radar's lists share: their parameters, lists by commas, and the stretch of a list that is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

from halfopen.api.parameters import Parameter
from halfopen.api.routes import Call
from halfopen.errors import Rejected
from halfopen.radar.vocabulary import MOST_VALUES, Filter
from halfopen.store.query import Value

T = TypeVar("T")

NOT_FOUND: Final = 7003
"""Radar's code of what does not exist."""

_MOST: Final = 1000

OFFSET: Final = Parameter(
    "offset",
    "How many are left out before.",
    "a number from 0 to 1000000",
    "integer",
    least=0,
    most=1_000_000,
)
FORMAT: Final = Parameter(
    "format", "Form of the answer.", "JSON, the only form of this answer", values=("JSON",), any_case=True
)


def limit(default: int) -> Parameter:
    """How many are shown where nothing is said."""
    return Parameter(
        "limit", "How many are shown.", f"a number from 1 to {_MOST}", "integer",
        least=1, most=_MOST, default=default,
    )  # fmt: skip


def stretch(call: Call, found: Sequence[T], default: int) -> Sequence[T]:
    """What is shown of a list (`limit`, `offset`); nothing past its end."""
    first = call.number("offset", 0)
    return found[first : first + call.number("limit", default)]


def values(call: Call, kind: Filter[Value]) -> list[Value]:
    """The values of a list by commas, which `faults` has found nothing wrong with."""
    return [value for token in _tokens(call, kind) if (value := kind.read(token)) is not None]


def faults(call: Call, kind: Filter[Value]) -> list[Rejected]:
    """What cannot be used in a list by commas."""
    tokens = _tokens(call, kind)
    if len(tokens) > MOST_VALUES:
        return [Rejected(kind.name, ",".join(tokens), f"at most {MOST_VALUES} values")]
    return [Rejected(kind.name, token, kind.accepted) for token in tokens if kind.read(token) is None]


def _tokens(call: Call, kind: Filter[Value]) -> list[str]:
    return [token.strip() for token in (call.one(kind.name) or "").split(",") if token.strip()]
