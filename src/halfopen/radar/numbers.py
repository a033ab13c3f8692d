"""Counts as the decimal text of an answer: exact arithmetic in whole millionths, never an exponent (A9)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

_MILLION: Final = 10**6
_WHOLE: Final = 100 * _MILLION
"""100 percent, in millionths of a percent."""


def percentages(weights: Sequence[float]) -> list[str]:
    """The share of each weight in their sum (%), with at most 6 decimals; they add up to exactly 100.

    What flooring leaves over goes to the largest remainders, of equal ones to the first; those are equal
    that differ by less than a millionth of the last digit, for sums of 1 / rate depend on their order by
    that much. All are "0" where there is no weight.
    """
    whole = _integers(weights)
    total = sum(whole)
    if not total:
        return ["0"] * len(whole)
    parts = [divmod(weight * _WHOLE, total) for weight in whole]
    shares = [quotient for quotient, _ in parts]
    for index in _largest_first([remainder for _, remainder in parts], total // _MILLION)[
        : _WHOLE - sum(shares)
    ]:
        shares[index] += 1
    return [_text(share) for share in shares]


def percentage(weight: float, total: float) -> str:
    """The share of one weight in a total (%), for shares that overlap; rounded half up."""
    part, whole = _integers((weight, total))
    return _text(_rounded(part * _WHOLE, whole)) if whole else "0"


def raw_value(weight: float) -> str:
    """A weighted count, rounded half up to at most 6 decimals."""
    numerator, denominator = weight.as_integer_ratio()
    return _text(_rounded(numerator * _MILLION, denominator))


def _largest_first(values: Sequence[int], close: int) -> list[int]:
    """Indices by falling value; neighbours that differ by at most `close` stay in their own order."""
    order = sorted(range(len(values)), key=lambda index: -values[index])
    rank = dict.fromkeys(order[:1], 0)
    for larger, smaller in pairwise(order):
        rank[smaller] = rank[larger] + (values[larger] - values[smaller] > close)
    return sorted(rank, key=lambda index: (rank[index], index))


def _integers(weights: Sequence[float]) -> list[int]:
    """Whole numbers in exactly the proportions of the weights."""
    ratios = [weight.as_integer_ratio() for weight in weights]
    # Denominators of floats are powers of two: the largest is a multiple of all.
    common = max((denominator for _, denominator in ratios), default=1)
    return [numerator * (common // denominator) for numerator, denominator in ratios]


def _rounded(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)


def _text(millionths: int) -> str:
    whole, rest = divmod(millionths, _MILLION)
    return f"{whole}.{rest:06d}".rstrip("0") if rest else str(whole)
