"""What a configuration says of how origins are asked (``originRequest``): options of the types that cloudflared reads (``config/configuration.go``).

One whose type is another makes it drop the whole configuration. Names it does not know it leaves aside, and so do we.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final


def kind(value: Any) -> str:
    """What JSON calls a value."""
    kinds = {
        type(None): "null",
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "a list",
    }
    return kinds.get(type(value), "an object")


_Check = Callable[[str, Any], str | None]


def _typed(where: str, value: Any, wanted: str) -> str | None:
    found = kind(value)
    return None if found in (wanted, "null") else f"{where} is {found}, not {wanted}"


def _is(wanted: str) -> _Check:
    return lambda where, value: _typed(where, value, wanted)


def _whole(least: int, most: int = 2**63 - 1, of: str = "") -> _Check:
    def check(where: str, value: Any) -> str | None:
        if value is None or (type(value) is int and least <= value <= most):
            return None
        shown = value if kind(value) == "a number" and abs(value) < 2**63 else kind(value)
        return f"{where} is {shown}, not a whole number{of}"

    return check


def _each(check: _Check) -> _Check:
    def checked(where: str, value: Any) -> str | None:
        wrong = _typed(where, value, "a list")
        return wrong or next(filter(None, (check(f"{where}[]", each) for each in value or ())), None)

    return checked


def _object(parts: Mapping[str, _Check]) -> _Check:
    def checked(where: str, value: Any) -> str | None:
        if wrong := _typed(where, value, "an object"):
            return wrong
        # As Go's encoding/json finds them: in any case.
        said = [(parts.get(name.lower()), f"{where}.{name}", each) for name, each in (value or {}).items()]
        return next(filter(None, (part(place, each) for part, place, each in said if part)), None)

    return checked


def _access(where: str, value: Any) -> str | None:
    parts = {
        "required": _BOOLEAN,
        "teamname": _STRING,
        "audtag": _each(_STRING),
        "environment": _STRING,
    }
    if wrong := _object(parts)(where, value):
        return wrong
    said = {name.lower(): each for name, each in (value or {}).items()}
    if said.get("required") and said.get("audtag") and not said.get("teamname"):
        return "access.TeamName cannot be blank when access.audTags are present"
    return None


_BOOLEAN: Final = _is("a boolean")
_STRING: Final = _is("a string")
_SECONDS: Final = _whole(0, 10**9, " of seconds")
_IP_RULE: Final = _object(
    {"prefix": _STRING, "ports": _each(_whole(1, 65535, " from 1 to 65535")), "allow": _BOOLEAN}
)
_OPTIONS: Final[Mapping[str, _Check]] = {
    **dict.fromkeys(("connecttimeout", "tlstimeout", "tcpkeepalive", "keepalivetimeout"), _SECONDS),
    **dict.fromkeys(
        ("nohappyeyeballs", "notlsverify", "disablechunkedencoding", "http2origin", "matchsnitohost", "bastionmode"), _BOOLEAN
    ),
    **dict.fromkeys(("httphostheader", "originservername", "capool", "proxytype", "proxyaddress"), _STRING),
    "keepaliveconnections": _whole(-(2**63)),
    "proxyport": _whole(0),
    "iprules": _each(_IP_RULE),
    "access": _access,
}  # fmt: skip
OPTIONS: Final = _object(_OPTIONS)
"""Gives what is wrong with what was found at a place (the first argument), None where nothing is; `WARP_ROUTING` does so too."""

WARP_ROUTING: Final = _object(
    {"connecttimeout": _SECONDS, "tcpkeepalive": _SECONDS, "maxactiveflows": _whole(0)}
)
