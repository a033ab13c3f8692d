"""Messages of Cap'n Proto's RPC, as far as a tunnel needs them: objects that one end offers, questions to them and their answers.

Numbers of questions are those of who asks; in `Return` and `Finish` they say which question is meant.
"""

# ruff: noqa: RUF009 - what is called says where a field lies

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from halfopen.tunnelwire.capnp.layout import (
    Content,
    Nested,
    Struct,
    anything,
    flag,
    nested,
    number,
    structs,
    text,
    union,
)
from halfopen.tunnelwire.capnp.reading import Pointed

FAILED: Final = 0
UNIMPLEMENTED: Final = 3
"""Types of Failure."""


@dataclass(frozen=True)
class Failure(Struct, words=1, pointers=2):
    """Why there is no answer, or no connection any more (Exception in the schema)."""

    reason: str = text(0)
    type: int = number(4, "H")


@dataclass(frozen=True)
class PromisedAnswer(Struct, words=1, pointers=1):
    """What a question will be answered with. (Parts of an answer, its field `transform`, are never meant here.)"""

    question: int = number(0, "I")


@dataclass(frozen=True)
class ImportedCap(Struct):
    """An object that the receiver offers, by its number."""

    id: int = number(0, "I")


@dataclass(frozen=True)
class MessageTarget(Struct, words=1, pointers=1):
    """What a call goes to: ImportedCap or PromisedAnswer."""

    to: ImportedCap | PromisedAnswer = union(4, {0: ImportedCap, 1: Nested(0, PromisedAnswer)})


@dataclass(frozen=True)
class NoCap(Struct):
    """No object."""


@dataclass(frozen=True)
class SenderHosted(Struct):
    """An object that the sender offers, by its number."""

    id: int = number(4, "I")


@dataclass(frozen=True)
class SenderPromise(Struct):
    """An object that the sender will offer; it can be called like one that is there."""

    id: int = number(4, "I")


@dataclass(frozen=True)
class CapDescriptor(Struct, words=1, pointers=1):
    """One row of the table that capabilities in a payload are numbers of."""

    cap: NoCap | SenderHosted | SenderPromise = union(0, {0: NoCap, 1: SenderHosted, 2: SenderPromise})


@dataclass(frozen=True)
class Payload(Struct, words=0, pointers=2):
    """Parameters or results."""

    content: Content | Pointed = anything(0)
    cap_table: tuple[CapDescriptor, ...] = structs(1, CapDescriptor)


@dataclass(frozen=True)
class Bootstrap(Struct, words=1, pointers=1):
    """The question for the object that an end offers to begin with."""

    question: int = number(0, "I")


@dataclass(frozen=True)
class Call(Struct, words=3, pointers=3):
    """A call of a method. `results_to` is 0 where they go to the caller."""

    question: int = number(0, "I")
    method: int = number(4, "H")
    results_to: int = number(6, "H")
    interface: int = number(8, "Q")
    target: MessageTarget = nested(0, MessageTarget)
    params: Payload = nested(1, Payload)


@dataclass(frozen=True)
class Canceled(Struct):
    """The question was taken back before it was answered."""


@dataclass(frozen=True)
class Return(Struct, words=2, pointers=1):
    """The answer to a question."""

    question: int = number(0, "I")
    release_params: bool = flag(32, default=True)
    outcome: Payload | Failure | Canceled = union(
        6, {0: Nested(0, Payload), 1: Nested(0, Failure), 2: Canceled}
    )


@dataclass(frozen=True)
class Finish(Struct, words=1, pointers=0):
    """Who asked needs the answer no longer, nor where `release_results` is set the objects in it."""

    question: int = number(0, "I")
    release_results: bool = flag(32, default=True)


@dataclass(frozen=True)
class Release(Struct, words=1, pointers=0):
    """So many references to an object are given up."""

    id: int = number(0, "I")
    count: int = number(4, "I")


@dataclass(frozen=True)
class Unimplemented(Struct, words=1, pointers=1):
    """A message that its receiver cannot do anything with: what kind it was."""

    tag: int = number(0, "H")


Body = Unimplemented | Failure | Call | Return | Finish | Release | Bootstrap


@dataclass(frozen=True)
class Envelope(Struct, words=1, pointers=1):
    """Every message."""

    body: Body = union(
        0,
        {
            0: Nested(0, Unimplemented),
            1: Nested(0, Failure),
            2: Nested(0, Call),
            3: Nested(0, Return),
            4: Nested(0, Finish),
            6: Nested(0, Release),
            8: Nested(0, Bootstrap),
        },
    )


CALL_TAG: Final = 2
RETURN_TAG: Final = 3
"""Tags of Envelope, for Unimplemented."""
