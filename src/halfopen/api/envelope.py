"""The JSON object around every answer, in the shape of Cloudflare's v4 API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from halfopen.errors import Fault

CONTENT_TYPE: Final = "application/json"
"""Exactly this: cloudflared reads the body of an error only where no charset follows."""

_encode = msgspec.json.Encoder().encode


class ResultInfo(msgspec.Struct, frozen=True):
    """Where a page of a list stands."""

    count: int
    page: int
    per_page: int
    total_count: int


def success(result: Any, info: ResultInfo | None = None) -> bytes:
    """The envelope of an answer. `messages` is always empty: cloudflared fails on what it holds elsewhere."""
    whole = {"success": True, "errors": [], "messages": [], "result": result}
    if info is not None:
        whole["result_info"] = info
    return _encode(whole)


def failure(faults: Sequence[Fault], result: Any = None) -> bytes:
    """The envelope of an error; `result` is null, and an empty object in a 400 of Radar (A19)."""
    return _encode(
        {"success": False, "errors": [_error(each) for each in faults], "messages": [], "result": result}
    )


def _error(fault: Fault) -> dict[str, Any]:
    error: dict[str, Any] = {"code": fault.code, "message": fault.message}
    if fault.chain:
        error["error_chain"] = [_error(each) for each in fault.chain]
    return error
