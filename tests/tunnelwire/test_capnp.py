"""Structs in messages: what we write others read, what others write we read, and what nobody should have written does no harm."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfopen.errors import WireError
from halfopen.tunnelwire.capnp import Message, Pointed, Struct, encode, frame, take_message
from halfopen.tunnelwire.rpc.messages import Envelope, Finish, Payload
from halfopen.tunnelwire.rpc.methods import (
    ClientInfo,
    ConnectionDetails,
    ConnectionResponse,
    RegisterConnection,
    TunnelAuth,
    UpdateConfiguration,
    UpdateLocalConfiguration,
)
from tests.tunnelwire.structs import STRUCTS, counterpart, plain, values

LIMIT = 1 << 20

any_value = st.sampled_from(STRUCTS).flatmap(values)


def read(message: bytes, of: type[Struct]) -> Struct:
    stream = bytearray(message)
    segments = take_message(stream, LIMIT)
    assert segments is not None
    assert not stream
    return Message(segments).root(of)


def words(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}Q", *(value & (1 << 64) - 1 for value in values))


def pointer(offset: int, data: int, pointers: int) -> int:
    return (offset << 2 & 0xFFFFFFFF) | data << 32 | pointers << 48


def elements(offset: int, kind: int, count: int) -> int:
    return (offset << 2 & 0xFFFFFFFF) | 1 | kind << 32 | count << 35


def far(segment: int, word: int, twice: bool = False) -> int:
    return 2 | twice << 2 | word << 3 | segment << 32


@pytest.mark.parametrize("of", STRUCTS, ids=lambda of: of.__name__)
def test_structs_have_the_size_of_the_schema(of: type[Struct]) -> None:
    node = counterpart(of).schema.node.struct
    assert (of.words, of.pointers) == (node.dataWordCount, node.pointerCount)


@given(any_value)
def test_others_read_what_we_write(value: Struct) -> None:
    with counterpart(type(value)).from_bytes(frame([encode(value)])) as theirs:
        assert theirs.to_dict(verbose=True) == plain(value)


@given(any_value)
def test_we_read_what_others_write(value: Struct) -> None:
    message = counterpart(type(value)).new_message(**plain(value)).to_bytes()
    assert read(message, type(value)) == value


@given(any_value)
def test_we_read_what_we_write(value: Struct) -> None:
    assert read(frame([encode(value)]), type(value)) == value


def test_a_message_of_many_segments() -> None:
    """Others begin a new segment where one is full."""
    value = RegisterConnection(
        TunnelAuth("a" * 9_000, b"b" * 20_000), options=RegisterConnection().options, tunnel_id=b"c" * 9_000
    )
    message = counterpart(RegisterConnection).new_message(**plain(value)).to_bytes()
    assert struct.unpack_from("<I", message)[0] > 0
    assert read(message, RegisterConnection) == value


def test_an_object_and_what_it_is_in_different_segments() -> None:
    """Where a segment has no room for the pointer either: two words elsewhere say where the object is and what."""
    segments = (words(far(1, 0, twice=True)), words(far(2, 1), pointer(0, 1, 0)), words(0, 7))
    assert Message(segments).root(Finish) == Finish(7, release_results=True)


def test_structs_of_older_and_newer_writers() -> None:
    shorter = words(pointer(0, 0, 1), 0)
    assert Message([shorter]).root(ConnectionDetails) == ConnectionDetails()
    longer = words(pointer(0, 2, 3), 1, 99, elements(2, 2, 3), 0, 0, int.from_bytes(b"abc", "little"))
    found = Message([longer]).root(ConnectionDetails)
    assert found == ConnectionDetails(b"abc", "", tunnel_is_remotely_managed=True)


def test_nothing_at_all_is_defaults() -> None:
    assert Message([words(0)]).root(RegisterConnection) == RegisterConnection()
    assert Message([words(0)]).root(ConnectionResponse) == ConnectionResponse()


def test_text_that_is_none_is_shown_as_far_as_it_can_be() -> None:
    segment = words(pointer(0, 0, 1), elements(0, 2, 4), int.from_bytes(b"a\xffb\0", "little"))
    assert Message([segment]).root(TunnelAuth).account_tag == "a�b"


@pytest.mark.parametrize(
    ("segments", "words_of_error"),
    [
        ((), "out of its message"),
        ((b"",), "out of its message"),
        ((words(pointer(0, 0, 2)),), "out of its message"),
        ((words(pointer(-2, 0, 1)),), "out of its message"),
        ((words(pointer(1 << 29, 0, 1)),), "out of its message"),
        ((words(elements(0, 2, 1), 0),), "leads to something else"),
        ((words(pointer(0, 0, 1), pointer(-1, 0, 0)),), "a list leads to something else"),
        ((words(pointer(0, 0, 1), elements(0, 3, 1), 0),), "a list leads to something else"),
        ((words(pointer(0, 0, 1), elements(0, 2, 8), -1),), "a text without its end"),
        ((words(pointer(0, 0, 1), elements(0, 2, 1 << 28)),), "out of its message"),
        ((words(far(1, 0)),), "out of its message"),
        ((words(far(0, 1)),), "out of its message"),
        ((words(far(0, 0)),), "a kind that is not known"),
        ((words(far(0, 0, twice=True)),), "leads nowhere"),
        ((words(far(0, 1, twice=True), far(9, 0), pointer(0, 0, 1)),), "leads nowhere"),
        ((words(7),), "a kind that is not known"),
        ((words(3),), "leads to something else"),
    ],
)
def test_what_is_no_message(segments: tuple[bytes, ...], words_of_error: str) -> None:
    with pytest.raises(WireError, match=words_of_error):
        Message(segments).root(TunnelAuth)


def test_many_pointers_to_one_text() -> None:
    """8 KiB of pointers to 8 KiB of text would be 8 MiB of texts."""
    count, size = 1_000, 8_000
    lists = [elements(count - 1 - index, 2, size) for index in range(count)]
    segment = words(pointer(0, 0, 4), 0, elements(2, 6, count), 0, 0, *lists) + bytes(size)
    with pytest.raises(WireError, match="again and again"):
        Message([segment]).root(ClientInfo)


def test_elements_of_nothing() -> None:
    """A list of half a milliard structs without a body takes two words."""
    params = words(pointer(0, 0, 2), 0, elements(0, 7, 0), pointer((1 << 29) - 1, 0, 0))
    call = words(pointer(0, 1, 1), 2, pointer(0, 3, 3), 0, 0, 0, 0, pointer(1, 0, 2), 0) + params[8:]
    with pytest.raises(WireError, match="again and again"):
        Message([call]).root(Envelope)


def test_a_list_longer_than_it_says() -> None:
    call = words(pointer(0, 1, 1), 2, pointer(0, 3, 3), 0, 0, 0, 0, pointer(1, 0, 2), 0)
    table = words(0, elements(0, 7, 2), pointer(2, 1, 1), 0, 0)
    with pytest.raises(WireError, match="longer than it says"):
        Message([call + table]).root(Envelope)


def test_what_points_to_anything_can_be_read_once() -> None:
    """Who reads it twice pays twice: so it costs no more than the message is long."""
    found = Message([encode(Payload(UpdateLocalConfiguration(b"x" * 100)))]).root(Payload).content
    assert isinstance(found, Pointed)
    assert found.struct(UpdateLocalConfiguration).config == b"x" * 100
    with pytest.raises(WireError, match="again and again"):
        found.struct(UpdateLocalConfiguration)


@given(st.lists(st.binary(max_size=200).map(lambda raw: raw + bytes(-len(raw) % 8)), max_size=4))
def test_any_bytes(segments: list[bytes]) -> None:
    for of in (*STRUCTS, Envelope):
        try:
            Message(segments).root(of)
        except WireError:
            continue


@given(any_value, st.data())
def test_damaged_messages(value: Struct, data: st.DataObject) -> None:
    segment = bytearray(encode(value))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(segment) - 1))
        segment[at] = data.draw(st.integers(0, 255))
    try:
        Message([bytes(segment)]).root(type(value))
    except WireError:
        return


@given(st.lists(any_value, max_size=4), st.data())
def test_messages_in_a_stream(sent: list[Struct], data: st.DataObject) -> None:
    """They come in pieces of any size."""
    left = b"".join(frame([encode(each)]) for each in sent)
    stream = bytearray()
    found: list[Struct] = []
    while left:
        size = data.draw(st.integers(1, len(left)))
        stream += left[:size]
        left = left[size:]
        while segments := take_message(stream, LIMIT):
            found.append(Message(segments).root(type(sent[len(found)])))
    assert found == sent
    assert not stream


@pytest.mark.parametrize(
    ("start", "words_of_error"),
    [
        (struct.pack("<II", 0, 1 << 17 | 1), "1,048,584 bytes; accepted: at most 1,048,576"),
        (struct.pack("<IIII", 1, 1, 0xFFFFFFFF, 0), "accepted: at most"),
        (struct.pack("<I", 0xFFFFFFFF), "4,294,967,296 segments; accepted: at most 64"),
        (struct.pack("<I", 64), "65 segments"),
    ],
)
def test_a_message_too_long_is_known_by_its_start(start: bytes, words_of_error: str) -> None:
    with pytest.raises(WireError, match=words_of_error):
        take_message(bytearray(start), LIMIT)


def test_numbers_that_do_not_fit_are_errors_of_the_caller() -> None:
    with pytest.raises(struct.error):
        encode(UpdateConfiguration(1 << 31, b""))
