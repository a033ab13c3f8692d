"""What can go wrong, as the caller must see it.

::

    HalfopenError
    ├── UsageError      a parameter: its name, its value, what is accepted
    ├── CaptureError    a capture: file, offset, what was expected there
    │   └── UnreadableError   not one byte of it can be read: why
    ├── PlacesError     a places file: its name and what is wrong with it
    └── StoreError      a store: where it lies and why it cannot be used so
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


class UnreadableError(CaptureError):
    """A file, or what was to mean some, of which not one byte can be read."""

    def __init__(self, file: str, why: str) -> None:
        super().__init__(file, 0, why)

    def __str__(self) -> str:
        return f"{self.file}: {self.expected}"


class PlacesError(HalfopenError):
    """A places file that cannot be read."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = file
        self.reason = reason


class StoreError(HalfopenError):
    """A store that is none, cannot be written, is damaged, or is asked for what it cannot do."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}")
        self.place = place
        self.reason = reason
