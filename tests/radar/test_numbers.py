from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from halfopen.radar import numbers

PLAIN = re.compile(r"(0|[1-9][0-9]*)(\.[0-9]{0,5}[1-9])?")
ROWS = st.integers(1, 8).flatmap(
    lambda groups: st.lists(
        st.lists(
            st.floats(0, 1e15, allow_nan=False) | st.integers(0, 10**12).map(float),
            min_size=groups,
            max_size=groups,
        ),
        min_size=1,
        max_size=6,
    )
)
WEIGHTS = st.floats(0, 1e15, allow_nan=False) | st.integers(0, 10**12).map(float)


def percentages(weights: Sequence[float]) -> list[str]:
    """Of a single row."""
    texts: list[str] = numbers.percentages(np.array([weights], np.float64))[0].tolist()
    return texts


def percentage(weight: float, total: float) -> str:
    return str(numbers.overlapping_percentages(np.array([[weight]]), np.array([total]))[0, 0])


def raw_value(weight: float) -> str:
    return str(numbers.raw_values(np.array([[weight]]))[0, 0])


@given(ROWS)
def test_each_row_is_for_itself(rows: list[list[float]]) -> None:
    whole = np.array(rows)
    assert numbers.percentages(whole).tolist() == [percentages(row) for row in rows]
    assert numbers.raw_values(whole).tolist() == [[raw_value(weight) for weight in row] for row in rows]


@given(st.lists(WEIGHTS, min_size=1, max_size=12))
def test_shares_are_plain_and_add_up_to_exactly_100(weights: list[float]) -> None:
    shares = percentages(weights)
    assert all(PLAIN.fullmatch(share) for share in shares)
    assert sum(map(Decimal, shares)) == (100 if any(weights) else 0)


@given(st.lists(WEIGHTS, min_size=1, max_size=12).filter(any))
def test_each_share_is_its_exact_value_floored_or_one_millionth_more(weights: list[float]) -> None:
    total = sum(map(Fraction, weights))
    for weight, share in zip(weights, percentages(weights), strict=True):
        off = Fraction(share) - 100 * Fraction(weight) / total
        assert abs(off) < Fraction(1, 10**6)


@given(st.lists(WEIGHTS, min_size=1, max_size=12))
def test_no_weight_has_no_share(weights: list[float]) -> None:
    for weight, share in zip(weights, percentages(weights), strict=True):
        assert weight or share == "0"


def test_what_is_left_over_goes_to_the_largest_remainder_and_of_equal_ones_to_the_first() -> None:
    assert percentages([1, 1, 1]) == ["33.333334", "33.333333", "33.333333"]
    assert percentages([1, 2, 0, 0, 0]) == ["33.333333", "66.666667", "0", "0", "0"]
    assert percentages([65, 10, 5, 10, 10]) == ["65", "10", "5", "10", "10"]
    assert percentages([1e-5, 100 - 1e-5]) == ["0.00001", "99.99999"]


def test_nothing_counted_and_nothing_asked() -> None:
    assert percentages([0, 0]) == ["0", "0"]
    assert percentages([]) == []
    assert percentage(0, 0) == "0"


@given(WEIGHTS, WEIGHTS)
def test_a_share_by_itself_is_rounded(part: float, rest: float) -> None:
    total = part + rest
    text = percentage(part, total)
    assert PLAIN.fullmatch(text)
    assert not total or abs(Fraction(text) - 100 * Fraction(part) / Fraction(total)) <= Fraction(1, 2 * 10**6)


@given(WEIGHTS)
def test_counts_are_plain_and_exact_to_six_decimals(weight: float) -> None:
    text = raw_value(weight)
    assert PLAIN.fullmatch(text)
    assert abs(Fraction(text) - Fraction(weight)) <= Fraction(1, 2 * 10**6)


def test_counts_that_are_whole_have_no_decimals() -> None:
    assert raw_value(1e15) == "1000000000000000"
    assert raw_value(3 / 0.3) == "10"
    assert raw_value(1 / 0.3) == "3.333333"
    assert raw_value(1e-7) == "0"


def test_the_order_of_adding_up_decides_nothing() -> None:
    there, back = 0.1 + 0.2 + 0.3, 0.3 + 0.2 + 0.1
    assert there != back
    assert percentages([there, back, 1]) == percentages([back, there, 1])
