"""What can go wrong, as the caller must see it.

::

    HalfopenError
    ├── UsageError      a parameter: its name, its value, what is accepted
    ├── CaptureError    a capture: file, offset, what was expected there
    └── PlacesError     a places file: its name and what is wrong with it
"""

from __future__ import annotations


class HalfopenError(Exception):
    """Base of all errors that a caller is told about in one line."""


class UsageError(HalfopenError):
    """A parameter that cannot be used."""

    def __init__(self, name: str, value: object, accepted: str) -> None:
        super().__init__(f"{name}: {value!s} cannot be used; accepted: {accepted}")
        self.name = name
        self.value = value
        self.accepted = accepted


class CaptureError(HalfopenError):
    """A capture that is damaged, truncated, empty or foreign from `offset` (bytes) on."""

    def __init__(self, file: str, offset: int, expected: str) -> None:
        super().__init__(f"{file}: at byte {offset}: {expected}")
        self.file = file
        self.offset = offset
        self.expected = expected


class PlacesError(HalfopenError):
    """A places file that cannot be read."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = file
        self.reason = reason
