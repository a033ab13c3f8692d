"""Messages of the RPC, held against Cap'n Proto's own schema of it."""

from __future__ import annotations

from typing import Any

import pytest

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
from halfopen.tunnelwire.rpc import messages
from halfopen.tunnelwire.rpc.messages import (
    Bootstrap,
    Call,
    Canceled,
    CapDescriptor,
    Envelope,
    Failure,
    Finish,
    ImportedCap,
    MessageTarget,
    NoCap,
    Payload,
    PromisedAnswer,
    Release,
    Return,
    SenderHosted,
    SenderPromise,
    Unimplemented,
)
from halfopen.tunnelwire.rpc.methods import UPDATE_CONFIGURATION, UpdateConfiguration
from tests.tunnelwire.structs import RPC, SCHEMA

TABLE = (CapDescriptor(NoCap()), CapDescriptor(SenderHosted(5)), CapDescriptor(SenderPromise(6)))
THEIR_TABLE = [{"none": None}, {"senderHosted": 5}, {"senderPromise": 6}]
CALL = Call(
    question=1 << 31,
    interface=UPDATE_CONFIGURATION.interface,
    method=3,
    target=MessageTarget(PromisedAnswer(9)),
    params=Payload(UpdateConfiguration(7, b"{}"), TABLE),
)

KINDS: list[tuple[Struct, dict[str, Any]]] = [
    (Bootstrap(3), {"bootstrap": {"questionId": 3}}),
    (Finish(4, release_results=False), {"finish": {"questionId": 4, "releaseResultCaps": False}}),
    (Finish(4), {"finish": {"questionId": 4, "releaseResultCaps": True}}),
    (Release(5, 6), {"release": {"id": 5, "referenceCount": 6}}),
    (Failure("why", 3), {"abort": {"reason": "why", "type": "unimplemented"}}),
    (Return(7, False, Failure("why", 1)),
     {"return": {"answerId": 7, "releaseParamCaps": False, "exception": {"reason": "why", "type": "overloaded"}}}),
    (Return(8, True, Canceled()), {"return": {"answerId": 8, "releaseParamCaps": True, "canceled": None}}),
    (Return(9, True, Payload(None, TABLE)),
     {"return": {"answerId": 9, "releaseParamCaps": True, "results": {"capTable": THEIR_TABLE}}}),
    (Call(1, 2, 1, 3, MessageTarget(ImportedCap(4))),
     {"call": {"questionId": 1, "methodId": 2, "interfaceId": 3, "sendResultsTo": {"yourself": None},
               "target": {"importedCap": 4}}}),
]  # fmt: skip


def written(value: Struct) -> Any:
    return RPC.Message.from_bytes(frame([encode(Envelope(value))]))  # type: ignore[arg-type]


def read(message: Any) -> Any:
    segments = take_message(bytearray(message.to_bytes()), 1 << 16)
    assert segments is not None
    return Message(segments).root(Envelope).body


def contains(found: Any, expected: Any) -> bool:
    if isinstance(expected, dict):
        return all(contains(found[name], value) for name, value in expected.items())
    if isinstance(expected, list):
        return len(found) == len(expected) and all(map(contains, found, expected))
    return bool(found == expected)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind[0]).__name__)
def test_every_kind_of_message(kind: tuple[Struct, dict[str, Any]]) -> None:
    ours, theirs = kind
    with written(ours) as message:
        assert contains(message.to_dict(verbose=True), theirs)
    assert read(RPC.Message.new_message(**theirs)) == ours


def test_a_call_with_parameters() -> None:
    with written(CALL) as message:
        call = message.call
        assert (call.questionId, call.interfaceId, call.methodId) == (1 << 31, CALL.interface, 3)
        assert call.target.promisedAnswer.questionId == 9
        assert call.params.content.as_struct(SCHEMA.UpdateConfiguration).to_dict() == {
            "version": 7,
            "config": b"{}",
        }
        again = read(message.as_builder())
    assert isinstance(again.params.content, Pointed)
    assert again.params.content.capability() is None
    assert again.params.content.struct(UpdateConfiguration) == UpdateConfiguration(7, b"{}")
    assert again.params.cap_table == TABLE


def test_an_answer_that_is_an_object() -> None:
    segment = encode(Payload(Capability(1), TABLE))
    assert segment[8:16] == b"\x03\0\0\0\1\0\0\0"
    content = Message([segment]).root(Payload).content
    assert isinstance(content, Pointed)
    assert content.capability() == Capability(1)


@pytest.mark.parametrize("kind", ["resolve", "provide", "accept", "join", "disembargo"])
def test_messages_we_do_not_know(kind: str) -> None:
    message = RPC.Message.new_message()
    message.init(kind)
    tag = read(message)
    assert isinstance(tag, Unknown)
    with written(Unimplemented(tag.tag)) as answer:
        assert answer.unimplemented.which() == kind
    assert read(RPC.Message.new_message(unimplemented=message)) == Unimplemented(tag.tag)


def test_tags_that_are_sent_back() -> None:
    for name, tag in (("call", messages.CALL_TAG), ("return", messages.RETURN_TAG)):
        with written(Unimplemented(tag)) as answer:
            assert answer.unimplemented.which() == name
