"""Since when a share is higher than before."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from halfopen.radar.proportions import risen


def drawn(seed: int, shares: list[float], each: int) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    whole = chance.poisson(each, len(shares)).astype(float)
    return chance.binomial(whole.astype(int), shares).astype(float), whole


@given(st.integers(0, 1000), st.integers(5, 95), st.floats(0.02, 0.3))
def test_a_large_rise_is_found_where_it_began(seed: int, begin: int, before: float) -> None:
    part, whole = drawn(seed, [before] * begin + [min(before + 0.5, 1.0)] * (100 - begin), 200)
    found = risen(part, whole)
    assert found is not None
    assert abs(found - begin) <= 1


@given(st.integers(0, 1000), st.floats(0.0, 1.0), st.integers(0, 500))
def test_a_steady_share_has_not_risen(seed: int, share: float, each: int) -> None:
    assert risen(*drawn(seed, [share] * 100, each)) is None


@given(st.integers(0, 1000), st.integers(5, 95))
def test_a_share_that_falls_has_not_risen(seed: int, begin: int) -> None:
    assert risen(*drawn(seed, [0.6] * begin + [0.1] * (100 - begin), 200)) is None


def test_what_is_over_is_no_rise_that_goes_on() -> None:
    part, whole = drawn(1, [0.1] * 40 + [0.9] * 10 + [0.1] * 50, 200)
    found = risen(part, whole)
    assert found is None or found == 40, "the end is not higher than before"


def test_a_rise_of_little_account_is_not_told_however_sure_it_is() -> None:
    assert risen(*drawn(1, [0.10] * 50 + [0.115] * 50, 100_000)) is None


def test_few_buckets_and_none() -> None:
    none = np.zeros(0)
    assert risen(none, none) is None
    assert risen(np.array([3.0]), np.array([3.0])) is None
    assert risen(np.zeros(5), np.zeros(5)) is None
