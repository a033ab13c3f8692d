"""Structs to messages, in one segment."""

from __future__ import annotations

from collections.abc import Sequence
from struct import pack_into

from halfopen.tunnelwire.capnp.layout import (
    Anything,
    Capability,
    Data,
    Flag,
    Nested,
    Number,
    Slot,
    Struct,
    Structs,
    Text,
    Texts,
    Union,
    slots,
)

_BYTES, _POINTERS, _COMPOSITE = 2, 6, 7  # kinds of elements of a list


def encode(root: Struct) -> bytes:
    """The segment of a message whose root is this struct."""
    writer = _Writer()
    writer.write_struct(writer.make_room(1), root)
    return bytes(writer.segment)


class _Writer:
    """A segment that grows. Places in it are in bytes; what is empty is a pointer of zeros."""

    def __init__(self) -> None:
        self.segment = bytearray()

    def make_room(self, words: int) -> int:
        at = len(self.segment)
        self.segment += bytes(8 * words)
        return at

    def write_struct(self, at: int, value: Struct) -> None:
        body = self.make_room(value.words + value.pointers)
        # A struct without a body lies before its pointer, which would be zero otherwise.
        offset = (body - at) // 8 - 1 if value.words or value.pointers else -1
        pack_into("<iHH", self.segment, at, offset << 2, value.words, value.pointers)
        self._fill(body, body + 8 * value.words, value)

    def _write_list(self, at: int, kind: int, count: int, words: int) -> int:
        body = self.make_room(words)
        pack_into("<iI", self.segment, at, ((body - at) // 8 - 1) << 2 | 1, count << 3 | kind)
        return body

    def _write_bytes(self, at: int, value: bytes) -> None:
        body = self._write_list(at, _BYTES, len(value), (len(value) + 7) // 8)
        self.segment[body : body + len(value)] = value

    def _write_text(self, at: int, value: str | bytes) -> None:
        raw = value.encode() if isinstance(value, str) else value
        self._write_bytes(at, raw + b"\0")

    def _write_structs(self, at: int, of: type[Struct], values: Sequence[Struct]) -> None:
        each = of.words + of.pointers
        body = self._write_list(at, _COMPOSITE, len(values) * each, 1 + len(values) * each)
        pack_into("<IHH", self.segment, body, len(values) << 2, of.words, of.pointers)
        for index, value in enumerate(values):
            start = body + 8 + 8 * each * index
            self._fill(start, start + 8 * of.words, value)

    def _fill(self, data: int, pointers: int, value: Struct) -> None:
        for name, slot in slots(type(value)):
            self._fill_slot(data, pointers, slot, getattr(value, name))

    def _fill_slot(self, data: int, pointers: int, slot: Slot, value: object) -> None:
        match slot:
            case Number(at, packed):
                packed.pack_into(self.segment, data + at, value)
            case Flag(bit, default):
                self.segment[data + bit // 8] |= (value is not default) << bit % 8
            case Union(at, members):
                tag = slot.tag_of(value)
                assert tag is not None, f"no member of the union: {value!r}"
                assert isinstance(value, Struct)
                pack_into("<H", self.segment, data + at, tag)
                member = members[tag]
                if isinstance(member, Nested):
                    self.write_struct(pointers + 8 * member.pointer, value)
                else:
                    self._fill(data, pointers, value)
            case _:
                if value:
                    self._fill_pointer(pointers + 8 * slot.pointer, slot, value)

    def _fill_pointer(
        self, at: int, slot: Text | Data | Texts | Nested | Structs | Anything, value: object
    ) -> None:
        match slot, value:
            case Text(), (str() | bytes()):
                self._write_text(at, value)
            case Data(), bytes():
                self._write_bytes(at, value)
            case Texts(), tuple():
                body = self._write_list(at, _POINTERS, len(value), len(value))
                for index, each in enumerate(value):
                    self._write_text(body + 8 * index, each)
            case Structs(_, of), tuple():
                self._write_structs(at, of, value)
            case Anything(), Capability(index):
                pack_into("<II", self.segment, at, 3, index)
            case ((Nested() | Anything()), Struct()):
                self.write_struct(at, value)
            case _:
                raise TypeError(f"{value!r} cannot be written as {slot!r}")
