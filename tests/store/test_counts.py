"""Counts equal plain Python, whatever the rows, filters, spans and steps."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from halfopen.model import STAGES
from halfopen.store.committer import Batch
from halfopen.store.query import QUARTER, Choice, Dimension, Filters, Groups
from halfopen.store.store import Store
from halfopen.store.upkeep import Upkeep
from tests.store.rows import BEGIN, SPAN, Row, counted, row, table
from tests.store.strategies import random_filters, random_rows

SENSORS = ("lyon", "oslo")
STEPS = (None, 900, 3600, 86400, 604800)
QUARTERS = st.integers(0, SPAN // QUARTER).map(lambda n: BEGIN + n * QUARTER)


def filling(store: Store, batches: list[tuple[str, list[Row]]]) -> Iterator[list[tuple[str, Row]]]:
    """Commit batch after batch, and give all rows so far after each."""
    committer = store.committer()
    numbers = dict.fromkeys(SENSORS, 0)
    truth: list[tuple[str, Row]] = []
    for sensor, rows in batches:
        numbers[sensor] += 1
        committer.commit([Batch(sensor, "one", numbers[sensor], BEGIN + SPAN, table(rows))])
        committer.follow()
        truth += [(sensor, each) for each in rows]
        yield truth


def fill(store: Store, batches: list[tuple[str, list[Row]]]) -> None:
    for _ in filling(store, batches):
        pass


@settings(max_examples=12)
@given(
    batches=st.lists(st.tuples(st.sampled_from(SENSORS), random_rows()), min_size=1, max_size=3),
    questions=st.lists(
        st.tuples(random_filters(), QUARTERS, QUARTERS, st.sampled_from(STEPS), st.sampled_from(Dimension)),
        min_size=12,
        max_size=12,
    ),
    compacted=st.booleans(),
)
def test_any_question_about_any_rows(
    batches: list[tuple[str, list[Row]]],
    questions: list[tuple[Filters, int, int, int | None, Dimension]],
    compacted: bool,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder, create=True, threads=1)
        asked = [*questions, (Filters(), BEGIN, BEGIN + SPAN, None, Dimension.tag)]
        # The same questions again and again: what was added up before must not be taken for what is there now.
        for truth in filling(store, batches):
            if compacted:
                Upkeep(store.committer()).compact(2)
            for filters, start, end, step, by in asked:
                assert sorted(store.dataset.now().counts(filters, start, end, step, by)) == counted(
                    truth, filters, start, end, step, by
                )
                if by not in (Dimension.tag, Dimension.stage) and start < end:
                    groups = store.dataset.now().groups(filters, start, end, by)
                    assert sorted(of_groups(groups)) == sorted(by_stage(truth, filters, start, end, by))
        store.close()


def of_groups(groups: Groups) -> Iterator[tuple[str, str, int, float, float]]:
    """What each holds that is not nothing."""
    for number, key in enumerate(groups.keys):
        for column, stage in enumerate(STAGES):
            if groups.connections[number, column]:
                cell = (each[number, column] for each in (groups.connections, groups.weight, groups.squares))
                yield key, stage.name, *map(float, cell)  # type: ignore[misc]


def by_stage(
    truth: list[tuple[str, Row]], filters: Filters, start: int, end: int, by: Dimension
) -> Iterator[tuple[str, str, int, float, float]]:
    for stage in STAGES:
        rows = [(sensor, each) for sensor, each in truth if each["stage"] == stage]
        for cell in counted(rows, filters, start, end, None, by):
            yield cell.key, stage.name, cell.connections, cell.weight, cell.squares


def test_on_any_place(store: Store) -> None:
    rows = [
        row(BEGIN + n * 7000, stage=n % 5, asn=64496 + n % 3, tags=1 << n % 8, weight=8.0) for n in range(100)
    ]
    fill(store, [("lyon", rows[:60]), ("oslo", rows[60:])])
    truth = [("lyon", each) for each in rows[:60]] + [("oslo", each) for each in rows[60:]]
    span = BEGIN + 900, BEGIN + SPAN - 900
    for by in Dimension:
        for step in (None, 3600, 604800):
            assert sorted(store.dataset.now().counts(Filters(), *span, step, by)) == counted(
                truth, Filters(), *span, step, by
            )


def test_ids_that_nobody_has_pass_nothing(store: Store) -> None:
    fill(store, [("lyon", [row()])])
    for filters in (
        Filters(signature=Choice(frozenset({"no_such"}))),
        Filters(tag=Choice(frozenset({"no_such"}))),
    ):
        assert not list(store.dataset.now().counts(filters, BEGIN, BEGIN + 900, None))
    without = Filters(
        signature=Choice(exclude=frozenset({"no_such"})), tag=Choice(exclude=frozenset({"no_such"}))
    )
    assert len(store.dataset.now().counts(without, BEGIN, BEGIN + 900, None)) == 1


def test_single_connections(store: Store) -> None:
    rows = [row(BEGIN + n, client_port=n + 1, asn=64496 + n % 2, stage=n % 6) for n in range(20)]
    fill(store, [("lyon", rows)])
    filters = Filters(asn=Choice(frozenset({64496})))
    first = store.dataset.connections(filters, BEGIN, BEGIN + 900, limit=4)
    then = store.dataset.connections(filters, BEGIN, BEGIN + 900, limit=100, offset=4)
    assert first["client_port"].to_pylist() == [19, 17, 15, 13]
    assert then["client_port"].to_pylist() == [11, 9, 7, 5, 3, 1]
    assert first["stage"].to_pylist() == ["no_match", "later_in_flow", "post_ack", "no_match"]
    assert first["signature"].to_pylist() == ["syn_timeout"] * 4
    assert first["tags"].to_pylist() == [["timeout"]] * 4
