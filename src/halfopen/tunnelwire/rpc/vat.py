"""One end of a conversation in Cap'n Proto's RPC, a vat in its words: questions, answers and one object that can be called.

Either end may ask and be asked. A question is open until its answer was received; an answer is kept from the question until it was both given
and finished, so that what was promised can be called before it is there::

    answer      (none)    asked          given       withdrawn
    call        asked     -> abort       -> abort    -> abort
    answered                given                    (none)
    finish      ignored   withdrawn      (none)      -> abort

Any message that is none ends the conversation with an abort, as does one of the other end's.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from halfopen.errors import WireError
from halfopen.tunnelwire.capnp import (
    Capability,
    Message,
    Pointed,
    Struct,
    Unknown,
    encode,
    frame,
    take_message,
)
from halfopen.tunnelwire.rpc.messages import (
    CALL_TAG,
    FAILED,
    RETURN_TAG,
    UNIMPLEMENTED,
    Body,
    Bootstrap,
    Call,
    CapDescriptor,
    Envelope,
    Failure,
    Finish,
    ImportedCap,
    MessageTarget,
    Payload,
    PromisedAnswer,
    Release,
    Return,
    SenderHosted,
    SenderPromise,
    Unimplemented,
)
from halfopen.tunnelwire.rpc.methods import Method

QUESTIONS: Final = 64
"""How many answers one end may leave open at once."""

_MAIN: Final = 0
"""The number of the only object we offer."""


@dataclass(frozen=True)
class Called:
    """The other end calls a method, which is to be answered under this number."""

    question: int
    method: Method
    params: Struct


@dataclass(frozen=True)
class Withdrawn:
    """The other end does not wait any longer for the answer to its call."""

    question: int


@dataclass(frozen=True)
class Returned:
    """A call of ours is answered."""

    question: int
    method: Method
    results: Struct


@dataclass(frozen=True)
class Failed:
    """A call of ours will not be: why."""

    question: int
    method: Method
    reason: str


@dataclass(frozen=True)
class Aborted:
    """The conversation is over: why, and whether it was us who ended it."""

    reason: str
    by_us: bool


Event = Called | Withdrawn | Returned | Failed | Aborted


class _Answer(Enum):
    ASKED = auto()
    GIVEN = auto()
    WITHDRAWN = auto()
    GIVEN_OBJECT = auto()
    """Given, and it is the object that can be called."""


class Vat:
    """One end of a conversation, which offers `methods` to be called. No message may be longer than `limit` bytes.

    After an abort nothing is read or written any more.
    """

    def __init__(self, methods: Collection[Method] = (), limit: int = 1 << 16) -> None:
        self.limit = limit
        self._offered = {(each.interface, each.number): each for each in methods}
        self._stream = bytearray()
        self._outgoing = bytearray()
        self._answers: dict[int, _Answer] = {}
        self._references = 0  # the other end has to our object
        self._questions: dict[int, Method | None] = {}  # None where it is for the object
        self._free: list[int] = []  # numbers of questions that were answered
        self._theirs: ImportedCap | PromisedAnswer | None = None
        self._over = False

    def receive(self, stream: bytes) -> list[Event]:
        """Take in what the other end sent."""
        events: list[Event] = []
        if not self._over:
            self._stream += stream
        try:
            while not self._over and (segments := take_message(self._stream, self.limit)) is not None:
                events += self._on(Message(segments).root(Envelope).body)
        except WireError as error:
            events.append(self._abort(str(error)))
        return events

    def take_outgoing(self) -> bytes:
        """What is to be sent to the other end."""
        taken = bytes(self._outgoing)
        self._outgoing.clear()
        return taken

    # --- asking

    def call(self, method: Method, params: Struct) -> int:
        """Call a method of the object that the other end offers; gives the number under which it will be answered."""
        if self._theirs is None:
            self._theirs = PromisedAnswer(self._ask(None))
            self._send(Bootstrap(self._theirs.question))
        question = self._ask(method)
        target = MessageTarget(self._theirs)
        self._send(Call(question, method.number, 0, method.interface, target, Payload(params)))
        return question

    def abort(self, reason: str) -> None:
        """End the conversation."""
        self._abort(reason)

    def _ask(self, method: Method | None) -> int:
        # As cloudflared takes them: the number that was free last.
        question = self._free.pop() if self._free else len(self._questions)
        self._questions[question] = method
        return question

    # --- answering

    def answer(self, question: int, results: Struct) -> None:
        """Answer a call."""
        self._give(question, Payload(results))

    def fail(self, question: int, reason: str, kind: int = FAILED) -> None:
        """Say why a call will not be answered."""
        self._give(question, Failure(reason, kind))

    def _give(self, question: int, outcome: Payload | Failure) -> None:
        if self._over:
            return
        if self._answers[question] is _Answer.WITHDRAWN:
            del self._answers[question]
        else:
            self._answers[question] = _Answer.GIVEN
        self._send(Return(question, outcome=outcome))

    def _take_question(self, question: int) -> None:
        if question in self._answers:
            raise WireError(f"question {question:,} is asked while it is open already")
        if len(self._answers) >= QUESTIONS:
            raise WireError(f"more than {QUESTIONS} questions open at once")
        self._answers[question] = _Answer.ASKED

    # --- messages

    def _on(self, body: Body | Unknown) -> list[Event]:
        match body:
            case Bootstrap(question):
                self._take_question(question)
                self._answers[question] = _Answer.GIVEN_OBJECT
                self._references += 1
                table = (CapDescriptor(SenderHosted(_MAIN)),)
                self._send(Return(question, outcome=Payload(Capability(0), table)))
            case Call():
                return self._on_call(body)
            case Finish(question, release):
                return self._on_finish(question, release)
            case Return():
                return self._on_return(body)
            case Release(_, references):
                self._references = max(self._references - references, 0)
            case Failure(reason):
                self._over = True
                return [Aborted(reason, by_us=False)]
            case Unknown(tag):
                self._send(Unimplemented(tag))
        return []

    def _on_call(self, call: Call) -> list[Event]:
        if call.results_to or isinstance(call.target.to, Unknown):
            self._send(Unimplemented(CALL_TAG))
            return []
        self._take_question(call.question)
        method = self._offered.get((call.interface, call.method))
        if not self._is_ours(call.target.to):
            self.fail(call.question, "what is called is not there")
        elif method is None:
            self.fail(call.question, "there is no such method", UNIMPLEMENTED)
        else:
            return [Called(call.question, method, _content(call.params, method.params))]
        return []

    def _is_ours(self, target: ImportedCap | PromisedAnswer) -> bool:
        if isinstance(target, ImportedCap):
            return target.id == _MAIN and self._references > 0
        return self._answers.get(target.question) is _Answer.GIVEN_OBJECT

    def _on_finish(self, question: int, release: bool) -> list[Event]:
        match self._answers.get(question):
            case _Answer.ASKED:
                self._answers[question] = _Answer.WITHDRAWN
                return [Withdrawn(question)]
            case _Answer.WITHDRAWN:
                raise WireError(f"question {question:,} is finished twice")
            case _Answer.GIVEN_OBJECT if release:
                self._references = max(self._references - 1, 0)
        self._answers.pop(question, None)
        return []

    def _on_return(self, given: Return) -> list[Event]:
        question = given.question
        if question not in self._questions:
            raise WireError(f"question {question:,} is answered and was not asked")
        method = self._questions.pop(question)
        self._free.append(question)
        match given.outcome:
            case Payload():
                events = self._on_results(question, method, given.outcome)
                self._send(Finish(question, release_results=False))
                return events
            case Failure(reason):
                self._send(Finish(question))
            case Unknown():
                reason = "answered elsewhere"
                self._send(Unimplemented(RETURN_TAG))
            case _:
                reason = "withdrawn"
                self._send(Finish(question))
        if method is None:  # who calls next asks for the object again
            self._theirs = None
            return []
        return [Failed(question, method, reason)]

    def _on_results(self, question: int, method: Method | None, results: Payload) -> list[Event]:
        if method:
            return [Returned(question, method, _content(results, method.results))]
        self._theirs = _object(results)
        return []

    # --- sending

    def _send(self, body: Body) -> None:
        if not self._over:
            self._outgoing += frame([encode(Envelope(body))])

    def _abort(self, reason: str) -> Aborted:
        self._send(Failure(reason))
        self._over = True
        return Aborted(reason, by_us=True)


def _content(payload: Payload, of: type[Struct]) -> Struct:
    return payload.content.struct(of) if isinstance(payload.content, Pointed) else of()


def _object(payload: Payload) -> ImportedCap:
    """The object that the other end offers."""
    capability = payload.content.capability() if isinstance(payload.content, Pointed) else None
    if capability and capability.index < len(payload.cap_table):
        offered = payload.cap_table[capability.index].cap
        if isinstance(offered, (SenderHosted, SenderPromise)):
            return ImportedCap(offered.id)
    raise WireError("the object to be called is none")
