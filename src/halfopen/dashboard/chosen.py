"""The filters of a view as people read them: networks by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from halfopen.dashboard.asked import Asked
from halfopen.dashboard.asking import Asking

_MOST: Final = 100
"""Networks that are named; further ones have their numbers."""


async def chosen(asked: Asked, api: Asking) -> dict[str, str]:
    """The value of each filter in words."""
    words = dict(asked.filters)
    if "asn" in words:
        codes = [each.strip() for each in words["asn"].split(",") if each.strip()]
        names = await _names([code.lstrip("-") for code in codes][:_MOST], api)
        words["asn"] = ", ".join(
            ("not " if code.startswith("-") else "") + _named(code.lstrip("-"), names) for code in codes
        )
    return words


async def _names(numbers: list[str], api: Asking) -> Mapping[str, str]:
    """Names of networks by number, of those that have one."""
    told = await api.get("/radar/entities/asns", [("asn", ",".join(numbers)), ("limit", str(_MOST))])
    if not told.good:
        return {}
    return {str(each["asn"]): each["name"] for each in told.result["asns"] if each["name"]}


def _named(number: str, names: Mapping[str, str]) -> str:
    return f"{names[number]} (AS{number})" if number in names else f"AS{number}"
