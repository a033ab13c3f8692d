"""Shapes of results, and how they become JSON Schema: types that msgspec knows, objects with free keys, schemas as they are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final, TypeAlias

import msgspec

Time: TypeAlias = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with its zone, in RFC 3339."""

REF: Final = "#/components/schemas/{name}"


@dataclass(frozen=True)
class Keyed:
    """An object with the keys of `fixed`, all of them there; each further key holds one of `others`."""

    fixed: Mapping[str, Any]
    others: Any


def described(shapes: Iterable[Any]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The JSON Schema of each shape, and what they refer to by its name."""
    several = list(shapes)
    types = [each for shape in several for each in _types(shape)]
    schemas, named = msgspec.json.schema_components(types, ref_template=REF)
    known = dict(zip(map(id, types), schemas, strict=True))
    return [_schema(shape, known) for shape in several], named


def _types(shape: Any) -> Iterator[Any]:
    if isinstance(shape, Keyed):
        for inner in (*shape.fixed.values(), shape.others):
            yield from _types(inner)
    elif not isinstance(shape, Mapping):
        yield shape


def _schema(shape: Any, known: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
    if isinstance(shape, Keyed):
        return {
            "type": "object",
            "required": list(shape.fixed),
            "properties": {name: _schema(inner, known) for name, inner in shape.fixed.items()},
            "additionalProperties": _schema(shape.others, known),
        }
    return dict(shape) if isinstance(shape, Mapping) else known[id(shape)]
