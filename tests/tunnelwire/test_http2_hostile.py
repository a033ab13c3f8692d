"""What no connector should send over HTTP/2: answers that are none, frames too long, any bytes."""

from __future__ import annotations

import pytest
from h2.errors import ErrorCodes
from h2.exceptions import FrameTooLargeError
from hypothesis import given
from hypothesis import strategies as st

from halfopen.tunnelwire.configuration import NotApplied
from halfopen.tunnelwire.exchange import Answered, Body, Broken, End
from halfopen.tunnelwire.http2.connector import ConnectorConnection
from halfopen.tunnelwire.http2.edge import Configured, EdgeConnection, EdgeEvent, Replied
from halfopen.tunnelwire.http2.events import ControlBytes, ControlEnded, Lost
from halfopen.tunnelwire.http2.frames import FRAMES, TURN, FrameLengths
from tests.tunnelwire.ends import GET, POST, Ends, Peer, received

ORIGIN = ("cf-cloudflared-response-meta", '{"src":"origin"}')


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ([], "unknown origin"),
        ([("cf-cloudflared-response-meta", "x")], "unknown origin"),
        ([ORIGIN, ("cf-cloudflared-response-headers", "a:b:c")], "not base64"),
        ([ORIGIN, ("cf-cloudflared-response-headers", "WA:Cg")], "more than one line"),
    ],
)
def test_answers_that_are_none(headers: list[tuple[str, str]], reason: str) -> None:
    (replied,) = Peer().answered(*headers)
    assert isinstance(replied.reply, Broken)
    assert reason in replied.reply.reason


def test_an_answer_without_headers_of_its_own() -> None:
    """Sniffed by the connector's server, the type beside the blob means nothing."""
    (replied,) = Peer().answered(ORIGIN, ("content-type", "text/html"), ("date", "now"))
    assert replied.reply == Answered(200)


def test_an_answer_that_is_not_as_long_as_it_says() -> None:
    """That is between origin and visitor: other requests on the connection go on."""
    ends = Ends()
    stream = ends.asked(GET)
    answer = Answered(304, ((b"Content-Length", b"55"),))
    ends.connector.answer(stream, answer)
    assert ends.to_edge() == [Replied(stream, answer)]
    ends.connector.send(stream, b"", end=True)
    assert ends.to_edge() == [Replied(stream, End())]


def test_trailers_that_are_none() -> None:
    peer = Peer()
    (replied,) = peer.answered(ORIGIN)
    peer.h2.send_headers(replied.stream, [("x(", "a")], end_stream=True)
    (broken,) = peer.events()
    assert broken == Replied(replied.stream, Broken("a header of the name 'x('"))


def test_headers_of_ninety_thousand_bytes() -> None:
    (replied,) = Peer().answered(ORIGIN, ("cf-cloudflared-response-headers", "WA:" + "YWFh" * 30_000))
    assert replied.reply == Answered(200, ((b"X", b"aaa" * 30_000),))


def test_headers_without_end() -> None:
    peer = Peer()
    stream = peer.edge.ask(GET)
    peer.events()
    peer.h2.send_headers(stream, [(":status", "200"), *((f"x{each}", "a" * 60_000) for each in range(40))])
    events = peer.events()
    assert [type(event) for event in events] == [Replied, Lost]
    assert events[0].reply == Broken(events[1].reason, lost=True)


@pytest.mark.parametrize(
    "sent",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 9,
        bytes.fromhex("ffffff 04 00 00000000"),  # a frame of 16 MiB
        bytes.fromhex("000000 05 04 00000001"),  # a push promise
        bytes.fromhex("000008 06 00 00000001") + bytes(8),  # a ping on a stream
        bytes.fromhex("000004 08 00 00000000") + bytes(4),  # a window that opens by nothing
    ],
)
def test_what_is_not_http2(sent: bytes) -> None:
    edge = EdgeConnection(now=0)
    stream = edge.ask(GET)
    events = edge.receive(bytes.fromhex("000000 04 00 00000000") + sent, now=0)
    assert isinstance(events[-1], Lost)
    assert any(isinstance(event, Replied) and event.stream == stream for event in events)


@pytest.mark.parametrize("at_once", [False, True])
def test_the_end_of_the_control_stream_is_told_once(at_once: bool) -> None:
    """cloudflared ends it and then, as its side of it is open still, resets it without an error."""
    peer = Peer()
    peer.h2.send_headers(1, [(":status", "200")])
    peer.h2.send_data(1, b"x", end_stream=True)
    told = [] if at_once else peer.events()
    peer.h2.reset_stream(1, ErrorCodes.NO_ERROR)
    assert told + peer.events() == [ControlBytes(b"x"), ControlEnded()]
    peer.edge.control(b"too late")
    assert peer.events() == []


def test_what_is_owed_to_a_stream_that_is_reset_at_once() -> None:
    """Windows are opened, and what waits is sent, as bytes come; the stream they belong to may be over behind them already."""
    peer = Peer()
    peer.edge.configure(1, b" " * 200_000)
    peer.events()
    peer.h2.send_headers(3, [(":status", "200")])
    for _ in range(500):
        peer.h2.send_data(3, b"x", pad_length=255)
    peer.h2.increment_flow_control_window(100_000, 3)
    peer.h2.increment_flow_control_window(100_000)
    peer.h2.reset_stream(3)
    (configured,) = peer.events()
    assert isinstance(configured, Configured)
    assert isinstance(configured.outcome, NotApplied)
    assert peer.edge.capacity() == 99


def test_an_end_before_any_byte() -> None:
    """So do probes: connect, and go."""
    assert EdgeConnection(now=0).lose("closed by the connector") == [Lost("closed by the connector")]


@pytest.mark.parametrize("size", [1, 3, 9, 1_000_000])
def test_frames_are_known_to_be_too_long_by_their_beginning(size: int) -> None:
    def watched(*frames: tuple[int, int]) -> None:
        lengths = FrameLengths(frame=100, headers=250, skip=5)
        sent = b"start" + b"".join(
            length.to_bytes(3) + bytes([kind, 0, 0, 0, 0, 1]) + bytes(length) for length, kind in frames
        )
        for at in range(0, len(sent), size):
            assert lengths.watch(sent[at : at + size]) == len(sent[at : at + size])

    watched((100, 0), (0, 4), (100, 1), (100, 9), (50, 9), (100, 1), (100, 9))
    with pytest.raises(FrameTooLargeError, match="101 bytes; accepted: at most 100"):
        watched((101, 0))
    with pytest.raises(FrameTooLargeError, match="headers of more than 250 bytes"):
        watched((100, 1), (100, 9), (51, 9))


@pytest.mark.parametrize(("length", "taken"), [(0, FRAMES * 9), (1, FRAMES * 10 - 1), (1 << 17, TURN)])
def test_a_turn_is_of_so_many_bytes_and_so_many_frames(length: int, taken: int) -> None:
    sent = (length.to_bytes(3) + bytes([0, 0, 0, 0, 0, 1]) + bytes(length)) * 1_000
    assert FrameLengths(1 << 17, 1).watch(sent) == taken


def crumb(kind: int, stream: int, size: int) -> bytes:
    return size.to_bytes(3) + bytes([kind, 0]) + stream.to_bytes(4) + bytes(size)


@pytest.mark.parametrize(
    "sent", [crumb(0, 1, 1), crumb(6, 0, 8), crumb(0, 3, 1)], ids=["control", "pings", "over"]
)
def test_a_connector_that_only_keeps_the_edge_busy_is_cut(sent: bytes) -> None:
    peer = Peer()
    stream = peer.edge.ask(GET)
    peer.events()
    for number in (1, stream):
        peer.h2.send_headers(number, [(":status", "200")])
    peer.events()
    peer.edge.give_up(stream)
    events: list[EdgeEvent] = []
    for _ in range(120):
        events += received(peer.edge, sent * 100)
        peer.edge.take_outgoing()
    assert [event for event in events if isinstance(event, Lost)] == [
        Lost("not HTTP/2: frames that bring nothing")
    ]


def test_a_connector_may_answer_by_little_bits() -> None:
    """So come events, and what is said over a websocket: for many visitors at once."""
    peer = Peer()
    stream = peer.edge.ask(GET)
    peer.events()
    peer.h2.send_headers(stream, [(":status", "200"), ORIGIN])
    peer.events()
    for _ in range(300):
        events = received(peer.edge, crumb(0, stream, 1) * 100)
        assert events == [Replied(stream, Body(b"\0"))] * 100
        peer.edge.take_outgoing()
        peer.edge.acknowledge(stream, 100)


@given(st.lists(st.binary(max_size=80), max_size=5), st.booleans())
def test_any_bytes(pieces: list[bytes], settled: bool) -> None:
    edge = EdgeConnection(now=0)
    edge.ask(POST)
    events: list[EdgeEvent] = []
    if settled:
        events += edge.receive(bytes.fromhex("000000 04 00 00000000"), now=0)
    for piece in pieces:
        events += edge.receive(piece, now=0)
        edge.take_outgoing()
    assert sum(isinstance(event, Lost) for event in events) <= 1


any_frame = st.builds(
    lambda kind, flags, stream, payload: (
        len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload
    ),
    st.integers(0, 10),
    st.integers(0, 255),
    st.integers(0, 7),
    st.binary(max_size=40),
)


@given(st.lists(any_frame, max_size=8))
def test_any_frames(frames: list[bytes]) -> None:
    edge, connector = EdgeConnection(now=0), ConnectorConnection(now=0)
    edge.ask(POST)
    connector.receive(edge.take_outgoing(), now=0)
    for frame in frames:
        edge.receive(frame, now=0)
        connector.receive(frame, now=0)
