"""Which sequence a batch of the spool goes by: the number of its file, counted from the begin of an incarnation."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace

import msgspec


@dataclass(frozen=True, slots=True)
class Incarnation:
    """One incarnation of a spool, as its file has it.

    Batches that were too large are sent in pieces, each under a sequence of its own: `cuts` are the rows at which the
    pieces begin, by number of the batch; `shift` is by how much batches before those have moved the sequence.
    """

    id: str
    begin: int  # number of the batch whose sequence is 1
    since: int | None = None  # watermark (s) of the batch before that one
    shift: int = 0
    cuts: dict[int, list[int]] = field(default_factory=dict)

    def sequence(self, number: int, piece: int = 0) -> int:
        """The sequence of a piece of a batch."""
        return number - self.begin + 1 + self.shift + self._moved(number) + piece

    def pieces(self, number: int) -> int:
        """In how many pieces a batch is sent."""
        return len(self.cuts.get(number, (0,)))

    def span(self, number: int, piece: int, rows: int) -> tuple[int, int]:
        """The rows of a piece of a batch that has so many: from where, up to where."""
        begins = self.cuts.get(number, [0])
        return begins[piece], [*begins, rows][piece + 1]

    def cut(self, number: int, piece: int, row: int) -> Incarnation:
        """The same, but that a piece of the batch that is next ends at a row, where another begins."""
        begins = self.cuts.get(number, [0])
        cuts = {each: rows for each, rows in self.cuts.items() if each > number}
        cuts[number] = [*begins[: piece + 1], row, *begins[piece + 1 :]]
        return replace(self, shift=self.shift + self._moved(number), cuts=cuts)

    def renewed(self, number: int, piece: int, since: int | None) -> Incarnation:
        """Another incarnation, whose first sequence is a piece of the batch that is next; those before are gone."""
        cuts = {each: rows for each, rows in self.cuts.items() if each >= number}
        if number in cuts:
            cuts[number] = cuts[number][piece:]
        return Incarnation(str(uuid.uuid4()), number, since, cuts=cuts)

    def _moved(self, number: int) -> int:
        return sum(len(rows) - 1 for each, rows in self.cuts.items() if each < number)

    def encoded(self) -> bytes:
        """As the file has it."""
        return msgspec.json.encode(self) + b"\n"


def new(begin: int, since: int | None) -> Incarnation:
    """A fresh incarnation, whose first sequence is the batch of this number."""
    return Incarnation(str(uuid.uuid4()), begin, since)


def decoded(content: bytes) -> Incarnation:
    """The incarnation that a file has; ValueError if it has none."""
    try:
        found = msgspec.json.decode(content, type=Incarnation)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None
    uuid.UUID(found.id)
    return found
