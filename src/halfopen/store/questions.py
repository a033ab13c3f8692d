"""Questions in SQL: filters, buckets and dimensions over rollups; filters over connections."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from halfopen.connections.rules import SIGNATURES, Tag, signature_id
from halfopen.model import Stage
from halfopen.store.query import Choice, Dimension, Filters
from halfopen.store.schema import KINDS, LESS, WHOLE

DAY: Final = 86400
WEEK: Final = 7 * DAY
MONDAY: Final = 259200
"""Seconds from the Monday before the epoch to the epoch."""

SIGNATURE_NUMBERS: Final = {signature_id(number): number for number in range(len(SIGNATURES) + 1)}

_COLUMN: Final = {Dimension.tag: "tags"}
"""The columns of the dimensions that are not named like them."""

DECIDED: Final = f"stage <> {int(Stage.undecided)}"
"""Connections without a stage are in the store, but no count has them (D11)."""


def bucket(step: int | None, start: int) -> str:
    """The expression for the bucket of a row."""
    if step is None:
        return f"{start}::BIGINT"
    if step == WEEK:
        return f"bucket - (bucket + {MONDAY}) % {WEEK}"
    return f"bucket - bucket % {step}"


def bucket_of(times: Any, step: int | None, start: int) -> Any:
    """The bucket of each time, as that expression has it."""
    if step is None:
        return np.full(len(times), start, np.int64)
    if step == WEEK:
        return times - (times + MONDAY) % WEEK
    return times - times % step


def kind_of(filters: Filters, by: Dimension) -> str:
    """The kind of rollups with the fewest rows that can answer."""
    asked = {_COLUMN.get(by, by.value)}
    asked |= {_COLUMN.get(each, each.value) for each in Dimension if getattr(filters, each.value, None)}
    return next((kind for kind, kept in KINDS.items() if asked <= {*kept}), WHOLE)


def parts(kind: str, start: int, end: int, step: int | None) -> list[tuple[str, int, int]]:
    """(grain, start, end) of the stretches that together are the span: whole days where the step allows it."""
    less = "" if kind == WHOLE else LESS
    return [(grain + less, first, last) for grain, first, last in _stretches(start, end, step)]


def _stretches(start: int, end: int, step: int | None) -> list[tuple[str, int, int]]:
    first, last = start + -start % DAY, end - end % DAY
    if (step is not None and step % DAY) or first >= last:
        return [("15m", start, end)] if start < end else []
    stretches = [("15m", start, first), ("1d", first, last), ("15m", last, end)]
    return [each for each in stretches if each[1] < each[2]]


def condition(filters: Filters) -> tuple[str, list[object]]:
    """The condition of a filter and its values; what is unknown is never excluded."""
    terms: list[str] = []
    values: list[object] = []
    numbers = (("asn", filters.asn), ("ip_version", filters.ip_version), ("server_port", filters.server_port))
    texts = (("location", filters.location), ("continent", filters.continent), ("sensor", filters.sensor))
    for column, chosen in (*numbers, *texts):
        for wanted, members in ((True, chosen.include), (False, chosen.exclude)):
            if members:
                marks = ", ".join("?" for _ in members)
                test = f"{column} IN ({marks})"
                terms.append(test if wanted else f"NOT coalesce({test}, FALSE)")
                values += sorted(members)
    terms += _numbered(filters.signature)
    for wanted, ids in ((True, filters.tag.include), (False, filters.tag.exclude)):
        if ids:
            bits = sum(1 << Tag[name] for name in ids if name in Tag.__members__)
            terms.append(f"tags & {bits} {'<>' if wanted else '='} 0")
    return " AND ".join(terms) or "TRUE", values


def _numbered(chosen: Choice[str]) -> list[str]:
    terms = []
    for wanted, ids in ((True, chosen.include), (False, chosen.exclude)):
        if ids:
            found = [str(SIGNATURE_NUMBERS[name]) for name in sorted(ids) if name in SIGNATURE_NUMBERS]
            among = f"signature IN ({', '.join(found)})" if found else "FALSE"
            terms.append(among if wanted else f"NOT {among}")
    return terms


_SUMS: Final = "sum(connections)::BIGINT AS connections, sum(weight) AS weight, sum(squares) AS squares"

_TAGS: Final = ", ".join(f"({int(tag)}, '{tag.name}')" for tag in Tag)


def counts(
    by: Dimension,
    step: int | None,
    start: int,
    filters: Filters,
    kind: str,
    grains: list[tuple[str, int, int]],
) -> tuple[str, list[object]]:
    """The query over sources named by grain, and its values: bucket, key, connections, weight, squares."""
    rows, values = _rows(
        f"{bucket(step, start)} AS bucket, {_COLUMN.get(by, by.value)} AS key", filters, kind, grains
    )
    query = f"SELECT bucket, key, {_SUMS} FROM ({rows}) GROUP BY ALL"
    if by is Dimension.tag:
        query = (
            f"SELECT bucket, name AS key, {_SUMS} FROM ({query}) sums, (VALUES {_TAGS}) tag(bit, name) "
            "WHERE (sums.key >> tag.bit) & 1 = 1 GROUP BY ALL"
        )
    return f"{query} HAVING sum(connections) <> 0", values


def groups(
    by: Dimension, filters: Filters, kind: str, grains: list[tuple[str, int, int]]
) -> tuple[str, list[object]]:
    """The query over sources named by grain, and its values: key, stage, connections, weight, squares. Every kind keeps the
    stage."""
    rows, values = _rows(f"{by.value} AS key, stage", filters, kind, grains)
    return f"SELECT key, stage, {_SUMS} FROM ({rows}) GROUP BY ALL HAVING sum(connections) <> 0", values


def _rows(
    keys: str, filters: Filters, kind: str, grains: list[tuple[str, int, int]]
) -> tuple[str, list[object]]:
    """The rows of all grains that a filter lets through, with these expressions as keys."""
    test, values = condition(filters)
    unions = [
        f"SELECT {keys}, connections, weight, squares FROM {{{source_name(grain, first)}}} "
        f"WHERE kind = '{kind}' AND bucket >= {first} AND bucket < {last} AND {DECIDED} AND {test}"
        for grain, first, last in grains
    ]
    return " UNION ALL ".join(unions), values * len(grains)


def sums(by: Dimension, filters: Filters, kind: str, grains: Sequence[str]) -> tuple[str, list[object]]:
    """The query over sources named by grain, and its values: number of the grain, bucket, key and sums, sorted."""
    test, values = condition(filters)
    unions = [
        f"SELECT {number} AS grain, bucket, {_COLUMN.get(by, by.value)} AS key, {_SUMS} FROM {{{source_name(grain)}}} "
        f"WHERE kind = '{kind}' AND {DECIDED} AND {test} GROUP BY ALL"
        for number, grain in enumerate(grains)
    ]
    return f"{' UNION ALL '.join(unions)} ORDER BY grain, bucket", values * len(grains)


def source_name(grain: str, start: int | None = None) -> str:
    """Name of the source of a grain, or of one stretch of it."""
    return f"g{grain}{'' if start is None else f'_{start}'}".replace("-", "_")


def _stage(key: Any) -> str:
    return Stage(key).name


def _signature(key: Any) -> str:
    return signature_id(key)


def _number(key: Any) -> str:
    return str(key) if key else ""


KEY_TEXT: Final[dict[Dimension, Callable[[Any], str]]] = {
    Dimension.stage: _stage,
    Dimension.signature: _signature,
    Dimension.asn: _number,
}
"""How the key of a cell is told from what stands in the rollups; as text, for the dimensions not named here."""
