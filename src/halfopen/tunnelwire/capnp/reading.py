"""Messages to structs.

No struct of ours holds one of its own kind, so the depth of what is read follows from the schema. What lists and texts can cost is bounded by the
message: all that is looked at together may be no longer than it, which is so where no two pointers point to the same place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from struct import Struct as Packed
from struct import unpack_from
from typing import Final

from halfopen.errors import WireError
from halfopen.tunnelwire.capnp.layout import (
    AnyStruct,
    Anything,
    Capability,
    Data,
    Flag,
    Nested,
    Number,
    Slot,
    Structs,
    Text,
    Texts,
    Union,
    Unknown,
    slots,
)

_STRUCT, _LIST, _FAR, _OTHER = range(4)
_BYTES, _POINTERS, _COMPOSITE = 2, 6, 7
_TWICE: Final = 4  # the bit of a pointer to another segment where two words stand in the place of one


_TAG: Final = Packed("<H")
_BYTE: Final = Packed("<B")

Spot = tuple[int, int] | None
"""Where a pointer lies: segment and byte; nowhere, in a struct of a writer who did not know of it."""


@dataclass(frozen=True)
class _Found:
    """What a pointer leads to: its kind, where it begins (segment and byte), and the upper half of the pointer, which says how much."""

    kind: int
    segment: int
    at: int
    extent: int


@dataclass(frozen=True)
class _Body:
    """Where a struct lies: data and pointers of it, in bytes and number."""

    segment: int
    at: int
    words: int
    pointers: int


class Message:
    """A message that is read."""

    def __init__(self, segments: Sequence[bytes]) -> None:
        self._segments = segments
        self._left = sum(map(len, segments)) // 8

    def root(self, of: type[AnyStruct]) -> AnyStruct:
        """The struct the message is made of; raises WireError where it is none."""
        return self.struct((0, 0), of)

    def struct(self, spot: Spot, of: type[AnyStruct]) -> AnyStruct:
        """The struct that a pointer leads to, one of defaults where it leads nowhere."""
        found = self._follow(spot)
        if found is None:
            return of()
        if found.kind != _STRUCT:
            raise WireError("a pointer to a struct leads to something else")
        body = _Body(found.segment, found.at, found.extent & 0xFFFF, found.extent >> 16)
        self._look_at(body.segment, body.at, body.words + body.pointers)
        return self._read(body, of)

    def capability(self, spot: Spot) -> Capability | None:
        """The capability that a pointer is, if it is one."""
        found = self._follow(spot)
        return Capability(found.extent) if found and found.kind == _OTHER else None

    # --- pointers

    def _word(self, segment: int, at: int) -> tuple[int, int]:
        """The two halves of a word."""
        if not (segment < len(self._segments) and 0 <= at <= len(self._segments[segment]) - 8):
            raise WireError("a pointer leads out of its message")
        low, high = unpack_from("<II", self._segments[segment], at)
        return low, high

    def _follow(self, spot: Spot) -> _Found | None:
        if spot is None:
            return None
        segment, at = spot
        low, high = self._word(segment, at)
        start = None
        if low & 3 == _FAR:  # it is continued in another segment
            twice = low & _TWICE
            segment, at = high, 8 * (low >> 3)
            low, high = self._word(segment, at)
            if twice:  # there stand two words: where the object begins, and what it is
                if low & (_FAR | _TWICE) != _FAR or high >= len(self._segments):
                    raise WireError("a pointer to another segment leads nowhere")
                tag = self._word(segment, at + 8)
                segment, start = high, 8 * (low >> 3)
                low, high = tag
        kind = low & 3
        if low == 0 and high == 0:
            return None
        if kind == _FAR or (kind == _OTHER and low != _OTHER):
            raise WireError("a pointer of a kind that is not known")
        if start is None:
            start = at + 8 + 8 * ((low ^ 1 << 31) - (1 << 31) >> 2)  # the offset is signed
        return _Found(kind, segment, start, high)

    def _look_at(self, segment: int, at: int, words: int) -> None:
        """Look at so many words, which must be there."""
        if not 0 <= at <= len(self._segments[segment]) - 8 * words:
            raise WireError("a pointer leads out of its message")
        self._spend(words)

    def _spend(self, words: int) -> None:
        self._left -= words
        if self._left < 0:
            raise WireError("a message whose pointers lead to the same place again and again")

    # --- lists and texts

    def _list(self, spot: Spot, kind: int) -> tuple[int, int, int] | None:
        """Segment, first byte and length (elements; words of the composite kind) of a list, None where there is none."""
        found = self._follow(spot)
        if found is None:
            return None
        if found.kind != _LIST or found.extent & 7 != kind:
            raise WireError("a pointer to a list leads to something else")
        count = found.extent >> 3
        words = {_BYTES: (count + 7) // 8, _POINTERS: count, _COMPOSITE: count + 1}[kind]
        self._look_at(found.segment, found.at, words)
        return found.segment, found.at, count

    def _bytes(self, spot: Spot) -> bytes:
        if (found := self._list(spot, _BYTES)) is None:
            return b""
        segment, start, count = found
        return self._segments[segment][start : start + count]

    def _text(self, spot: Spot) -> bytes:
        found = self._bytes(spot)
        if found and found[-1]:
            raise WireError("a text without its end")
        return found[:-1]

    def _texts(self, spot: Spot) -> Iterator[str]:
        if found := self._list(spot, _POINTERS):
            segment, start, count = found
            for index in range(count):
                yield self._text((segment, start + 8 * index)).decode(errors="replace")

    def _structs(self, spot: Spot, of: type[AnyStruct]) -> Iterator[AnyStruct]:
        if found := self._list(spot, _COMPOSITE):
            segment, start, room = found
            low, high = self._word(segment, start)
            words, pointers = high & 0xFFFF, high >> 16
            count, size = low >> 2, words + pointers
            if low & 3 != _STRUCT or count * size > room:
                raise WireError("a list of structs that is longer than it says")
            if size == 0:  # such elements would cost nothing
                self._spend(count)
            for index in range(count):
                yield self._read(_Body(segment, start + 8 + 8 * size * index, words, pointers), of)

    # --- structs

    def _read(self, body: _Body, of: type[AnyStruct]) -> AnyStruct:
        return of(**{name: self._slot(body, slot) for name, slot in slots(of)})

    def _number(self, body: _Body, at: int, packed: Packed) -> int:
        if at + packed.size > 8 * body.words:
            return 0
        value: int = packed.unpack_from(self._segments[body.segment], body.at + at)[0]
        return value

    def _slot(self, body: _Body, slot: Slot) -> object:
        match slot:
            case Number(at, packed):
                return self._number(body, at, packed)
            case Flag(bit, default):
                return bool(self._number(body, bit // 8, _BYTE) >> bit % 8 & 1) != default
            case Union(at, members):
                tag = self._number(body, at, _TAG)
                if (member := members.get(tag)) is None:
                    return Unknown(tag)
                return self._slot(body, member) if isinstance(member, Nested) else self._read(body, member)
        spot = None
        if slot.pointer < body.pointers:
            spot = (body.segment, body.at + 8 * (body.words + slot.pointer))
        match slot:
            case Text(_, raw):
                text = self._text(spot)
                return text if raw else text.decode(errors="replace")
            case Data():
                return self._bytes(spot)
            case Texts():
                return tuple(self._texts(spot))
            case Nested(_, of):
                return self.struct(spot, of)
            case Structs(_, of):
                return tuple(self._structs(spot, of))
            case Anything():
                return Pointed(self, spot) if self._follow(spot) else None


@dataclass(frozen=True)
class Pointed:
    """What a pointer to anything leads to, for who knows what it is. It can be read once."""

    message: Message
    spot: Spot

    def struct(self, of: type[AnyStruct]) -> AnyStruct:
        """It is a struct; raises WireError where it is not."""
        return self.message.struct(self.spot, of)

    def capability(self) -> Capability | None:
        """It is a capability, or None where it is not."""
        return self.message.capability(self.spot)
