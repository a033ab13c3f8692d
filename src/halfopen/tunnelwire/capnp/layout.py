"""How a struct lies in a message: each field of a dataclass says where, and reading and writing both follow from that.

A struct is some words (8 bytes) of data and some pointers. Numbers and flags lie in the data, at a byte or a bit; texts, bytes, lists and other
structs behind a pointer. Of the members of a union one is there, and a number in the data, the tag, says which.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from struct import Struct as Packed
from typing import Any, ClassVar, Final, TypeVar

_SLOT: Final = "slot"


class Struct:
    """Base of the dataclasses that are structs of so many words and pointers, or groups of fields in the place of a union's member."""

    words: ClassVar[int] = 0
    pointers: ClassVar[int] = 0

    def __init_subclass__(cls, words: int = 0, pointers: int = 0) -> None:
        cls.words = words
        cls.pointers = pointers


AnyStruct = TypeVar("AnyStruct", bound=Struct)


@dataclass(frozen=True)
class Capability:
    """A pointer to an object of the sender, by its number in the table that goes with it."""

    index: int = 0


@dataclass(frozen=True)
class Unknown:
    """A union whose tag is none of those that are known."""

    tag: int


Content = Struct | Capability | None
"""What a pointer to anything is given to point to."""


@dataclass(frozen=True)
class Number:
    """A number at a byte of the data, in one of the formats of the module struct."""

    at: int
    packed: Packed


@dataclass(frozen=True)
class Flag:
    """A bit of the data. It is written inverted where it is true by default."""

    bit: int
    default: bool


@dataclass(frozen=True)
class Text:
    """UTF-8 with a zero behind it; what is none is replaced, for people are to read it. Or, `raw`, the bytes as they are."""

    pointer: int
    raw: bool = False


@dataclass(frozen=True)
class Data:
    """Bytes."""

    pointer: int


@dataclass(frozen=True)
class Texts:
    """A list of texts."""

    pointer: int


@dataclass(frozen=True)
class Nested:
    """Another struct."""

    pointer: int
    of: type[Struct]


@dataclass(frozen=True)
class Structs:
    """A list of structs."""

    pointer: int
    of: type[Struct]


@dataclass(frozen=True)
class Anything:
    """A struct of a kind that only its reader knows, or a capability."""

    pointer: int


@dataclass(frozen=True)
class Union:
    """One of several members: a struct behind a pointer, or a group that lies in the same data; the tag is at this byte."""

    at: int
    members: Mapping[int, Nested | type[Struct]]

    def tag_of(self, value: object) -> int | None:
        """The tag of the member that `value` is."""
        for tag, member in self.members.items():
            if type(value) is (member.of if isinstance(member, Nested) else member):
                return tag
        return None


Slot = Number | Flag | Text | Data | Texts | Nested | Structs | Anything | Union


_SLOTS: Final[dict[type[Struct], tuple[tuple[str, Slot], ...]]] = {}


def slots(of: type[Struct]) -> tuple[tuple[str, Slot], ...]:
    """The fields of a struct by name, and where each lies."""
    if of not in _SLOTS:
        declared: Any = of  # a dataclass
        _SLOTS[of] = tuple((each.name, each.metadata[_SLOT]) for each in fields(declared))
    return _SLOTS[of]


# What a field is declared with: `name: str = text(0)`.


def number(at: int, form: str) -> int:
    """A number at a byte; `form` is B, H, I, Q, i or q, as in the module struct."""
    return field(default=0, metadata={_SLOT: Number(at, Packed(f"<{form}"))})


def flag(bit: int, default: bool = False) -> bool:
    """A flag at a bit of the data."""
    return field(default=default, metadata={_SLOT: Flag(bit, default)})


def text(pointer: int) -> str:
    """A text for people."""
    return field(default="", metadata={_SLOT: Text(pointer)})


def raw_text(pointer: int) -> bytes:
    """A text of which the bytes matter."""
    return field(default=b"", metadata={_SLOT: Text(pointer, raw=True)})


def data(pointer: int) -> bytes:
    """Bytes."""
    return field(default=b"", metadata={_SLOT: Data(pointer)})


def texts(pointer: int) -> tuple[str, ...]:
    """A list of texts."""
    return field(default=(), metadata={_SLOT: Texts(pointer)})


def nested(pointer: int, of: type[AnyStruct]) -> AnyStruct:
    """Another struct; where there is none, one of defaults."""
    return field(default=of(), metadata={_SLOT: Nested(pointer, of)})


def structs(pointer: int, of: type[AnyStruct]) -> tuple[AnyStruct, ...]:
    """A list of structs."""
    return field(default=(), metadata={_SLOT: Structs(pointer, of)})


def anything(pointer: int) -> Any:
    """A Content to write, a Pointed when read."""
    return field(default=None, metadata={_SLOT: Anything(pointer)})


def union(at: int, members: Mapping[int, Nested | type[Struct]]) -> Any:
    """One of several members, or Unknown when read; by default the first, empty."""
    first = members[min(members)]
    default = first.of() if isinstance(first, Nested) else first()
    return field(default=default, metadata={_SLOT: Union(at, members)})
