"""The machine of the RPC: every kind of answer against every message, two ends in conversation, and ends that misbehave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from halfopen.tunnelwire.capnp import Capability, Message, Pointed, Unknown, encode, frame, take_message
from halfopen.tunnelwire.rpc.messages import (
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
    Unimplemented,
)
from halfopen.tunnelwire.rpc.methods import (
    UNREGISTER_UDP_SESSION,
    UPDATE_CONFIGURATION,
    ConfigurationUpdated,
    Nothing,
    UnregisterUdpSession,
    UpdateConfiguration,
    UpdateConfigurationResponse,
)
from halfopen.tunnelwire.rpc.vat import QUESTIONS, Aborted, Called, Event, Failed, Returned, Vat, Withdrawn
from tests.tunnelwire.structs import RPC

PARAMS = UpdateConfiguration(3, b"{}")
RESULTS = ConfigurationUpdated(UpdateConfigurationResponse(3, ""))


def written(*bodies: Body) -> bytes:
    return b"".join(frame([encode(Envelope(each))]) for each in bodies)


def read(stream: bytes) -> list[Any]:
    left = bytearray(stream)
    found = []
    while segments := take_message(left, 1 << 20):
        found.append(Message(segments).root(Envelope).body)
    assert not left
    return found


BOOTSTRAPPED = PromisedAnswer(0)


def call(question: int = 1, target: ImportedCap | PromisedAnswer = BOOTSTRAPPED, **changed: Any) -> Call:
    fields = {
        "method": UPDATE_CONFIGURATION.number,
        "interface": UPDATE_CONFIGURATION.interface,
        "target": MessageTarget(target),
        "params": Payload(PARAMS),
    }
    return Call(question, **{**fields, **changed})


def serving() -> Vat:
    return Vat([UPDATE_CONFIGURATION])


def said(vat: Vat, *bodies: Body) -> list[Event]:
    return vat.receive(written(*bodies))


# --- being asked

CALLED = Called(1, UPDATE_CONFIGURATION, PARAMS)

STATES: dict[str, list[Body]] = {
    "none": [],
    "asked": [call()],
    "given": [call()],  # and answered
    "withdrawn": [call(), Finish(1)],
}

INPUTS: dict[str, Callable[[Vat], Any]] = {
    "call": lambda vat: said(vat, call()),
    "answered": lambda vat: vat.answer(1, RESULTS),
    "failed": lambda vat: vat.fail(1, "no"),
    "finish": lambda vat: said(vat, Finish(1)),
}

OPEN_ALREADY = [Aborted("question 1 is asked while it is open already", by_us=True)]

TABLE: dict[tuple[str, str], tuple[Any, list[type], str]] = {
    # state, input: events, messages sent, state afterwards
    ("none", "call"): ([CALLED], [], "asked"),
    ("none", "finish"): ([], [], "none"),
    ("asked", "call"): (OPEN_ALREADY, [Failure], "over"),
    ("asked", "answered"): (None, [Return], "given"),
    ("asked", "failed"): (None, [Return], "given"),
    ("asked", "finish"): ([Withdrawn(1)], [], "withdrawn"),
    ("given", "call"): (OPEN_ALREADY, [Failure], "over"),
    ("given", "finish"): ([], [], "none"),
    ("withdrawn", "call"): (OPEN_ALREADY, [Failure], "over"),
    ("withdrawn", "answered"): (None, [Return], "none"),
    ("withdrawn", "failed"): (None, [Return], "none"),
    ("withdrawn", "finish"): ([Aborted("question 1 is finished twice", by_us=True)], [Failure], "over"),
}


@pytest.mark.parametrize(("state", "given_input"), TABLE, ids=" ".join)
def test_answers(state: str, given_input: str) -> None:
    events, sent, afterwards = TABLE[state, given_input]
    vat = serving()
    said(vat, Bootstrap(0), *STATES[state])
    if state == "given":
        vat.answer(1, RESULTS)
    vat.take_outgoing()
    assert INPUTS[given_input](vat) == events
    assert [type(each) for each in read(vat.take_outgoing())] == sent
    match afterwards:  # by what the next message does
        case "none":
            assert said(vat, call()) == [CALLED]
        case "asked":
            assert said(vat, Finish(1)) == [Withdrawn(1)]
        case "given":
            assert said(vat, Finish(1), call()) == [CALLED]
        case "withdrawn":
            assert said(vat, Finish(1)) == [Aborted("question 1 is finished twice", by_us=True)]
        case "over":
            assert said(vat, Bootstrap(2)) == []
            assert vat.take_outgoing() == b""


def test_stock_conversation() -> None:
    """As cloudflared begins: it calls before it was told what. Later it calls the object itself, and numbers come again."""
    vat = serving()
    assert said(vat, Bootstrap(0), call()) == [CALLED]
    vat.answer(1, RESULTS)
    boot, answer = read(vat.take_outgoing())
    assert boot.question == 0
    assert boot.outcome.content.capability() == Capability(0)
    assert boot.outcome.cap_table == (CapDescriptor(SenderHosted(0)),)
    assert answer.question == 1
    assert answer.outcome.content.struct(ConfigurationUpdated) == RESULTS
    assert said(vat, Finish(0, release_results=False), Finish(1, release_results=False)) == []
    assert said(vat, call(1, ImportedCap(0))) == [CALLED]
    assert said(vat, Release(0, 1), Failure("rpc: shutdown")) == [Aborted("rpc: shutdown", by_us=False)]
    assert vat.take_outgoing() == b""


@pytest.mark.parametrize(
    ("before", "asked", "reason"),
    [
        ([], call(1, PromisedAnswer(0)), "what is called is not there"),
        ([], call(1, ImportedCap(0)), "what is called is not there"),
        ([Bootstrap(0)], call(1, ImportedCap(1)), "what is called is not there"),
        ([Bootstrap(0), Finish(0)], call(1, ImportedCap(0)), "what is called is not there"),
        ([Bootstrap(0), Release(0, 9)], call(1, ImportedCap(0)), "what is called is not there"),
        ([Bootstrap(0), Release(0, 9), Finish(0)], call(1, ImportedCap(0)), "what is called is not there"),
        ([Bootstrap(0), Finish(0)], call(1, PromisedAnswer(0)), "what is called is not there"),
        ([Bootstrap(0), call(2)], call(1, PromisedAnswer(2)), "what is called is not there"),
        ([Bootstrap(0)], call(1, method=9), "there is no such method"),
        ([Bootstrap(0)], call(1, interface=9), "there is no such method"),
    ],
)
def test_calls_that_go_nowhere(before: list[Body], asked: Call, reason: str) -> None:
    vat = serving()
    said(vat, *before)
    vat.take_outgoing()
    assert said(vat, asked) == []
    (answer,) = read(vat.take_outgoing())
    assert isinstance(answer.outcome, Failure)
    assert (answer.question, answer.outcome.reason) == (1, reason)


@pytest.mark.parametrize(
    "before", [[Finish(0, release_results=False)], [Bootstrap(2), Finish(0)], [Bootstrap(2), Release(0, 1)]]
)
def test_the_object_stays_while_it_is_referred_to(before: list[Body]) -> None:
    vat = serving()
    said(vat, Bootstrap(0), *before)
    assert said(vat, call(1, ImportedCap(0))) == [CALLED]


def test_messages_that_are_not_done() -> None:
    disembargo: bytes = RPC.Message.new_message(disembargo={}).to_bytes()
    for asked, tag in ((written(call(results_to=1)), 2), (disembargo, 13)):
        vat = serving()
        assert vat.receive(asked) == []
        assert read(vat.take_outgoing()) == [Unimplemented(tag)]


def test_a_call_to_a_target_of_another_kind() -> None:
    vat = serving()
    message = bytearray(written(call(1, ImportedCap(0xABCDEF))))
    message[message.index(b"\xef\xcd\xab") + 4] = 2  # the tag is beside it
    (found,) = read(bytes(message))
    assert found.target.to == Unknown(2)
    assert vat.receive(bytes(message)) == []
    assert read(vat.take_outgoing()) == [Unimplemented(2)]


def test_what_is_said_back_to_unimplemented_is_nothing() -> None:
    vat = serving()
    assert said(vat, Unimplemented(2), Unimplemented(14)) == []
    assert vat.take_outgoing() == b""


def test_too_many_questions() -> None:
    vat = serving()
    assert said(vat, *(Bootstrap(each) for each in range(QUESTIONS))) == []
    assert said(vat, Bootstrap(QUESTIONS)) == [Aborted("more than 64 questions open at once", by_us=True)]
    assert isinstance(read(vat.take_outgoing())[-1], Failure)


def test_a_message_that_is_too_long_ends_it_before_it_is_there() -> None:
    vat = Vat([UPDATE_CONFIGURATION], limit=64)
    (aborted,) = vat.receive(written(call())[:8])
    assert isinstance(aborted, Aborted)
    assert "accepted: at most 64" in aborted.reason
    vat.take_outgoing()
    assert vat.receive(written(call()) * 10) == []
    assert vat.take_outgoing() == b""


# --- asking


def asking() -> tuple[Vat, int]:
    vat = Vat()
    return vat, vat.call(UPDATE_CONFIGURATION, PARAMS)


OBJECT = Return(0, outcome=Payload(Capability(0), (CapDescriptor(SenderHosted(4)),)))


def test_a_call_before_anything_is_known() -> None:
    vat, question = asking()
    assert question == 1
    boot, first = read(vat.take_outgoing())
    assert boot == Bootstrap(0)
    assert first.target.to == PromisedAnswer(0)
    assert isinstance(first.params.content, Pointed)
    assert first.params.content.struct(UpdateConfiguration) == PARAMS

    assert said(vat, OBJECT, Return(1, outcome=Payload(RESULTS))) == [
        Returned(1, UPDATE_CONFIGURATION, RESULTS)
    ]
    assert read(vat.take_outgoing()) == [Finish(0, False), Finish(1, False)]
    assert vat.call(UPDATE_CONFIGURATION, PARAMS) == 1
    (second,) = read(vat.take_outgoing())
    assert second.target.to == ImportedCap(4)


def test_a_call_that_fails() -> None:
    vat, _ = asking()
    assert said(vat, Return(1, outcome=Failure("why"))) == [Failed(1, UPDATE_CONFIGURATION, "why")]
    assert read(vat.take_outgoing())[-1] == Finish(1)


def test_an_end_that_offers_nothing_is_asked_again() -> None:
    vat, _ = asking()
    assert said(vat, Return(0, outcome=Failure("none"))) == []
    vat.take_outgoing()
    vat.call(UPDATE_CONFIGURATION, PARAMS)
    assert read(vat.take_outgoing())[0] == Bootstrap(0)


@pytest.mark.parametrize("kind", ["canceled", "resultsSentElsewhere", "takeFromOtherQuestion"])
def test_answers_that_are_none(kind: str) -> None:
    vat, _ = asking()
    value = 5 if kind == "takeFromOtherQuestion" else None
    message = RPC.Message.new_message(**{"return": {"answerId": 1, kind: value}})
    (failed,) = vat.receive(message.to_bytes())
    assert isinstance(failed, Failed)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Return(7, outcome=Failure("why")), "question 7 is answered and was not asked"),
        (Return(0, outcome=Payload(None)), "the object to be called is none"),
        (Return(0, outcome=Payload(Nothing())), "the object to be called is none"),
        (
            Return(0, outcome=Payload(Capability(1), (CapDescriptor(SenderHosted(4)),))),
            "the object to be called is none",
        ),
        (Return(0, outcome=Payload(Capability(0), (CapDescriptor(),))), "the object to be called is none"),
    ],
)
def test_answers_that_end_it(answer: Return, reason: str) -> None:
    vat, _ = asking()
    assert said(vat, answer) == [Aborted(reason, by_us=True)]


def test_abort() -> None:
    vat, _ = asking()
    vat.take_outgoing()
    vat.abort("rpc: shutdown")
    assert read(vat.take_outgoing()) == [Failure("rpc: shutdown")]
    vat.abort("again")
    vat.call(UPDATE_CONFIGURATION, PARAMS)
    assert vat.take_outgoing() == b""


# --- two ends


class Conversation(RuleBasedStateMachine):
    """Two ends that call each other: each call is answered once with what the other end said, whatever the pieces it comes in."""

    def __init__(self) -> None:
        super().__init__()
        self.ends = (Vat([UNREGISTER_UDP_SESSION]), Vat([UNREGISTER_UDP_SESSION]))
        self.wires = (bytearray(), bytearray())  # to the first, to the second
        self.asked: tuple[dict[int, str], dict[int, str]] = ({}, {})  # what each said with its open questions
        self.open: tuple[dict[int, str], dict[int, str]] = ({}, {})  # what each has still to answer
        self.events: list[Event] = []

    def _send(self, end: int) -> None:
        self.wires[1 - end].extend(self.ends[end].take_outgoing())

    @rule(end=st.sampled_from([0, 1]), message=st.text(max_size=20))
    def call(self, end: int, message: str) -> None:
        if len(self.asked[end]) < QUESTIONS - 2:
            question = self.ends[end].call(UNREGISTER_UDP_SESSION, UnregisterUdpSession(b"", message))
            assert question not in self.asked[end]
            self.asked[end][question] = message
            self._send(end)

    @precondition(lambda self: any(self.open))
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        end = data.draw(st.sampled_from([end for end in (0, 1) if self.open[end]]))
        question = data.draw(st.sampled_from(sorted(self.open[end])))
        if data.draw(st.booleans()):
            self.ends[end].answer(question, Nothing())
        else:
            self.ends[end].fail(question, self.open[end][question])
        del self.open[end][question]
        self._send(end)

    @precondition(lambda self: any(self.wires))
    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        end = data.draw(st.sampled_from([end for end in (0, 1) if self.wires[end]]))
        size = data.draw(st.integers(1, len(self.wires[end])))
        piece = bytes(self.wires[end][:size])
        del self.wires[end][:size]
        for event in self.ends[end].receive(piece):
            match event:
                case Called(question, method, UnregisterUdpSession(_, message)):
                    assert method is UNREGISTER_UDP_SESSION
                    assert self.asked[1 - end][question] == message
                    self.open[end][question] = message
                case Failed(question, _, reason):
                    assert self.asked[end].pop(question) == reason
                case Returned(question, _, results):
                    assert results == Nothing()
                    del self.asked[end][question]
                case _:
                    raise AssertionError(event)
        self._send(end)

    @invariant()
    def nobody_answers_what_was_not_asked(self) -> None:
        for end in (0, 1):
            assert self.open[end].keys() <= self.asked[1 - end].keys()


TestConversation = Conversation.TestCase
TestConversation.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)

any_body = st.one_of(
    st.builds(Bootstrap, st.integers(0, 3)),
    st.builds(call, st.integers(0, 3), st.one_of(st.builds(ImportedCap, st.integers(0, 1)), st.builds(PromisedAnswer, st.integers(0, 3)))),
    st.builds(Finish, st.integers(0, 3), st.booleans()),
    st.builds(Return, st.integers(0, 3), outcome=st.sampled_from([Failure("x"), Payload(RESULTS), OBJECT.outcome])),
    st.builds(Release, st.integers(0, 1), st.integers(0, 3)),
    st.builds(Unimplemented, st.integers(0, 14)),
)  # fmt: skip


@given(st.lists(any_body, max_size=30), st.integers(0, 3))
def test_any_messages(bodies: list[Body], calls: int) -> None:
    """Whatever is said, in whatever order: events, and never more answers than questions."""
    vat = serving()
    for _ in range(calls):
        vat.call(UPDATE_CONFIGURATION, PARAMS)
    asked = given_ = 0
    for body in bodies:
        asked += isinstance(body, (Bootstrap, Call))
        for event in said(vat, body):
            if isinstance(event, Called):
                vat.answer(event.question, RESULTS)
        given_ += sum(isinstance(each, Return) for each in read(vat.take_outgoing()))
        assert given_ <= asked


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_any_bytes(pieces: list[bytes]) -> None:
    vat = serving()
    events = [event for piece in pieces for event in vat.receive(piece)]
    assert sum(isinstance(event, Aborted) for event in events) <= 1
