"""Counts as the decimal text of an answer: exact arithmetic in whole millionths, never an exponent (A9).

Weights come as arrays, a row for each bucket and a column for each group; texts go as arrays of the same shape.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Weights: TypeAlias = NDArray[np.float64]
Texts: TypeAlias = NDArray[np.object_]

_MILLION: Final = 10**6
_WHOLE: Final = 100 * _MILLION
"""100 percent, in millionths of a percent."""

_FITS: Final = 2**63 // (4 * _WHOLE)
"""Sums up to which everything here stays within 64 bits."""


def percentages(weights: Weights) -> Texts:
    """The share of each weight in the sum of its row (%), with at most 6 decimals; a row adds up to exactly 100.

    What flooring leaves over goes to the largest remainders, of equal ones to the first; those are equal
    that differ by less than a millionth of the last digit, for sums of 1 / rate depend on their order by
    that much. All are "0" in a row without any weight.
    """
    whole, _ = _integers(weights)
    total = whole.sum(axis=1, keepdims=True)
    base = np.maximum(total, 1)
    shares, remainders = whole * _WHOLE // base, whole * _WHOLE % base
    missing = np.where(total > 0, _WHOLE - shares.sum(axis=1, keepdims=True), 0)
    return _texts(shares + (_places(remainders, base // _MILLION) < missing))


def overlapping_percentages(weights: Weights, totals: Weights) -> Texts:
    """The share of each weight in the total of its row (%), for shares that overlap; rounded half up."""
    whole, _ = _integers(np.column_stack((weights, totals)))
    return _texts(_rounded(whole[:, :-1] * _WHOLE, np.maximum(whole[:, -1:], 1)))


def raw_values(weights: Weights) -> Texts:
    """Weighted counts, rounded half up to at most 6 decimals."""
    whole, unit = _integers(weights)
    return _texts(_rounded(whole * _MILLION, unit))


def differences(values: Weights) -> Texts:
    """As `raw_values`, of numbers below nothing too, rounded half away from it."""
    texts = raw_values(np.abs(values))
    return np.where((values < 0) & (texts != "0"), "-" + texts, texts)


def _places(values: Any, close: Any) -> NDArray[np.int64]:
    """The place of each value in its row, the largest first; neighbours that differ by at most `close` keep their order."""
    order = np.argsort(-values, axis=1, kind="stable")
    falling = np.take_along_axis(values, order, 1)
    rank = np.zeros(values.shape, np.int64)
    rank[:, 1:] = np.cumsum(falling[:, :-1] - falling[:, 1:] > close, axis=1)
    ranked = np.empty_like(rank)
    np.put_along_axis(ranked, order, rank, 1)
    return np.argsort(np.argsort(ranked, axis=1, kind="stable"), axis=1)


def _integers(weights: Weights) -> tuple[Any, int]:
    """Whole numbers in exactly the proportions of the weights, and the one that stands for 1; Python's where
    64 bits are too few."""
    if (weights == np.floor(weights)).all() and weights.sum(axis=1).max(initial=0) <= _FITS:
        return weights.astype(np.int64), 1
    ratios = [weight.as_integer_ratio() for weight in weights.ravel().tolist()]
    # Denominators of floats are powers of two: the largest is a multiple of all.
    unit = max(denominator for _, denominator in ratios)
    whole = np.empty(len(ratios), object)
    whole[:] = [numerator * (unit // denominator) for numerator, denominator in ratios]
    return whole.reshape(weights.shape), unit


def _rounded(numerator: Any, denominator: Any) -> Any:
    return (2 * numerator + denominator) // (2 * denominator)


def _texts(millionths: Any) -> Texts:
    whole, rest = ((part.ravel().tolist()) for part in (millionths // _MILLION, millionths % _MILLION))
    texts = np.empty(millionths.size, object)
    texts[:] = [
        f"{units}.{decimals:06d}".rstrip("0") if decimals else str(units)
        for units, decimals in zip(whole, rest, strict=True)
    ]
    return texts.reshape(millionths.shape)
