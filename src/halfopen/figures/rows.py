"""Rows of networks or countries: whose connections were cut, in figures and tables alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

WIDE: Final = 20.0
"""Points (%) from which a 95 % interval is too wide to rank by: such rows are paler and come last."""


def is_wide(row: Mapping[str, Any]) -> bool:
    """Whether the share of a row is hardly known."""
    return bool(row["high"] - row["low"] > WIDE)
