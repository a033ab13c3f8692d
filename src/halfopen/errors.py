"""What can go wrong, as the caller must see it.

::

    HalfopenError
    ├── UsageError      a parameter: its name, its value, what is accepted
    ├── ParametersError   a request of the API: every parameter of it that cannot be used
    ├── CaptureError    a capture: file, offset, what was expected there
    │   └── UnreadableError   not one byte of it can be read: why
    └── PlacesError     a places file: its name and what is wrong with it
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class HalfopenError(Exception):
    """Base of all errors that a caller is told about in one line."""


class UsageError(HalfopenError):
    """A parameter that cannot be used."""

    def __init__(self, name: str, value: object, accepted: str) -> None:
        super().__init__(f"{name}: {value!s} cannot be used; accepted: {accepted}")
        self.name = name
        self.value = value
        self.accepted = accepted


class Fault(NamedTuple):
    """A parameter of a request, what was received, and what is accepted: words that follow "is not"."""

    name: str
    value: str
    accepted: str

    def __str__(self) -> str:
        value = self.value if len(self.value) <= 100 else f"{self.value[:100]}..."
        return f'{self.name}: "{value}" is not {self.accepted}'


class ParametersError(HalfopenError):
    """A request with parameters that cannot be used: all of them at once (A11)."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(str(fault) for fault in faults))
        self.faults = tuple(faults)


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
