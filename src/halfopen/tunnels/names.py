"""Names of hosts and zones: in one form, lower case and in ASCII (RFC 5890), so that equal names are equal texts."""

from __future__ import annotations

import re
from typing import Final

import idna

LONGEST: Final = 253
"""Characters of a name (RFC 1035, 2.3.4)."""

_LABEL: Final = re.compile(r"[0-9a-z_]([0-9a-z_-]{0,61}[0-9a-z_])?")


def zone_name(text: str) -> str | None:
    """The name of a zone in its one form, None where it cannot be one."""
    name = _ascii(text)
    return name if name is not None and "." in name else None


def hostname(text: str) -> str | None:
    """The name of a host in its one form, None where it cannot be one; ``*.`` before it stands for any name."""
    if text.startswith("*."):
        rest = _ascii(text[2:])
        return f"*.{rest}" if rest is not None and len(rest) + 2 <= LONGEST else None
    return _ascii(text)


def lies_in(name: str, zone: str) -> bool:
    """Whether a host's name is that of a zone or below it; ``*.zone`` is."""
    return name == zone or name.endswith(f".{zone}")


def _ascii(text: str) -> str | None:
    plain = text.removesuffix(".").lower()
    if not plain.isascii():
        try:
            plain = idna.encode(plain, uts46=True).decode()
        except idna.IDNAError:
            return None
    if not plain or len(plain) > LONGEST or not all(_LABEL.fullmatch(label) for label in plain.split(".")):
        return None
    return plain
