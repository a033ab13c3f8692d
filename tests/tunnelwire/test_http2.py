"""The HTTP/2 connection: edge and connector in conversation, windows in both directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from halfopen.errors import WireError
from halfopen.tunnelwire.configuration import Applied, ConfigurationSent, NotApplied
from halfopen.tunnelwire.exchange import Answered, Body, Broken, End, Kind, Refused, Reply, Request
from halfopen.tunnelwire.headers import Header, canonical
from halfopen.tunnelwire.http2.connector import Asked, ConfigurationCame, ConnectorConnection
from halfopen.tunnelwire.http2.edge import Configured, Replied
from halfopen.tunnelwire.http2.events import ControlBytes, ControlEnded, Lost, Room
from halfopen.tunnelwire.http2.link import FIRST_WINDOW, PATIENCE, QUIET, STREAM_WINDOW, STREAMS
from halfopen.tunnelwire.http2.marks import read_answer, write_answer
from tests.tunnelwire.ends import GET, OK, POST, Ends, Peer
from tests.tunnelwire.test_headers import any_headers


def test_the_control_stream() -> None:
    ends = Ends()
    ends.connector.control(b"register")
    assert ends.to_edge() == [ControlBytes(b"register")]
    ends.edge.control(b"registered")
    assert ends.to_connector() == [ControlBytes(b"registered")]
    ends.connector.control(b"bye", end=True)
    assert ends.to_edge() == [ControlBytes(b"bye"), ControlEnded()]
    ends.edge.control(b"nobody hears it")
    assert ends.to_connector() == []
    stream = ends.asked(GET)  # requests are served to the end
    ends.connector.answer(stream, OK)
    assert ends.to_edge() == [Replied(stream, OK)]


KINDS = [
    GET,
    Request(Kind.WEBSOCKET, b"app.example", headers=((b"sec-websocket-key", b"k"),), body=True),
    Request(Kind.TCP, b"192.0.2.1:22", body=True),
]


@pytest.mark.parametrize("request_", KINDS, ids=lambda each: each.kind.name)
def test_kinds(request_: Request) -> None:
    """The kind is told by marks of the edge alone, and arrives as what it was; marks do not reach the origin."""
    ends = Ends()
    stream = ends.asked(request_)
    answer = Answered(
        101, ((b"Connection", b"Upgrade"), (b"Upgrade", b"websocket"), (b"Sec-Websocket-Accept", b"x"))
    )
    ends.connector.answer(stream, OK if request_.kind is Kind.HTTP else answer)
    expected = {Kind.HTTP: OK, Kind.WEBSOCKET: answer, Kind.TCP: Answered(200)}[request_.kind]
    assert ends.to_edge() == [Replied(stream, expected)]


def test_an_upgrade_that_the_origin_did_not_make() -> None:
    offered = Answered(200, ((b"Connection", b"Upgrade"), (b"Upgrade", b"h2,h2c")))
    assert read_answer(write_answer(offered), Kind.WEBSOCKET) == Answered(200)


def test_bodies_and_trailers() -> None:
    ends = Ends()
    stream = ends.asked(POST)
    ends.edge.send(stream, b"up")
    ends.edge.send(stream, b"", end=True)
    assert ends.to_connector() == [Asked(stream, Body(b"up")), Asked(stream, End())]
    ends.connector.answer(stream, OK)
    ends.connector.send(stream, b"down")
    ends.connector.end(stream, ((b"Grpc-Status", b"0"), (b"Cf-Int-X", b"1")))
    trailers = End(((b"Grpc-Status", b"0"),))
    assert ends.to_edge() == [Replied(stream, OK), Replied(stream, Body(b"down")), Replied(stream, trailers)]
    assert ends.to_connector() == []


def test_nothing_is_reset_where_both_have_ended() -> None:
    ends = Ends()
    stream = ends.asked(GET)
    ends.connector.answer(stream, OK)
    ends.connector.send(stream, b"", end=True)
    assert ends.to_edge() == [Replied(stream, OK), Replied(stream, End())]
    assert ends.edge.take_outgoing() == b""


@pytest.mark.parametrize("refused", [False, True])
def test_an_answer_before_the_request_has_ended(refused: bool) -> None:
    """What is still sent of it is dropped, on either side."""
    ends = Ends()
    stream = ends.asked(POST)
    ends.edge.send(stream, b"more")
    if refused:
        ends.connector.answer(stream, Refused("no", rate_limited=True))
        expected: list[Reply] = [Refused("the connector has no answer of an origin", rate_limited=True)]
    else:
        ends.connector.answer(stream, OK)
        ends.connector.send(stream, b"", end=True)
        expected = [OK, End()]
    ends.to_connector()
    assert ends.to_edge() == [Replied(stream, each) for each in expected]
    assert ends.edge.room(stream) == 0
    ends.edge.send(stream, b"too late", end=True)
    ends.edge.acknowledge(stream, 1)
    assert ends.to_connector() == []


def test_the_origin_breaks_off() -> None:
    ends = Ends()
    stream = ends.asked(POST)
    ends.connector.answer(stream, OK)
    ends.connector.give_up(stream)
    answered, broken = ends.to_edge()
    assert answered == Replied(stream, OK)
    assert broken == Replied(stream, Broken("broken off by the connector (INTERNAL_ERROR)"))
    assert ends.edge.capacity() == STREAMS - 1


def test_the_visitor_goes_away() -> None:
    ends = Ends()
    stream = ends.asked(POST)
    ends.edge.give_up(stream)
    assert ends.to_connector() == [Asked(stream, Broken("broken off by the edge"))]
    ends.connector.answer(stream, OK)
    assert ends.to_edge() == []


# --- configurations


def test_a_configuration() -> None:
    ends = Ends()
    sent = ends.edge.configure(3, b'{"ingress": []}')
    (came,) = ends.to_connector()
    assert came.configuration == ConfigurationSent(3, b'{"ingress": []}')
    ends.connector.applied(came.stream, 3)
    assert ends.to_edge() == [Configured(sent, Applied(3, ""))]
    sent = ends.edge.configure(4, b"{}")
    (came,) = ends.to_connector()
    ends.connector.applied(came.stream, 3, failed=True)
    assert ends.to_edge() == [Configured(sent, Applied(3, "the connector does not say why"))]
    assert ends.edge.capacity() == STREAMS - 1


def test_configurations_that_are_answered_in_another_order() -> None:
    ends = Ends()
    first, second = ends.edge.configure(1, b"{}"), ends.edge.configure(2, b"{}")
    came = ends.to_connector()
    for each in reversed(came):
        ends.connector.applied(each.stream, each.configuration.version)
    assert ends.to_edge() == [Configured(second, Applied(2, "")), Configured(first, Applied(1, ""))]
    silent = ends.edge.configure(3, b"{}")
    ends.to_connector()
    ends.edge.give_up(silent)
    assert ends.edge.capacity() == STREAMS - 1


def test_a_configuration_larger_than_the_window() -> None:
    config = b'"%b"' % (b"x" * (3 * STREAM_WINDOW))
    ends = Ends()
    ends.edge.configure(1, config)
    came: list[Any] = []
    while not came:
        came = ends.to_connector()
        ends.to_edge()
    assert came[0].configuration.config == config


def test_a_configuration_that_is_none() -> None:
    ends = Ends()
    sent = ends.edge.configure(1, b"{")
    assert ends.to_connector() == []
    assert ends.to_edge() == [Configured(sent, NotApplied("the connector did not understand it"))]


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"lastAppliedVersion":"x","err":null}', b"x" * 20_000])
def test_answers_to_a_configuration_that_are_none(body: bytes) -> None:
    peer = Peer()
    peer.edge.configure(1, b"{}")
    peer.events()
    peer.h2.send_headers(3, [(":status", "200")])
    peer.h2.send_data(3, body[:16_000], end_stream=len(body) < 16_000)
    if len(body) > 16_000:
        peer.h2.send_data(3, body[16_000:], end_stream=True)
    (configured,) = peer.events()
    assert isinstance(configured.outcome, NotApplied)


# --- windows


def test_what_the_visitor_does_not_take_holds_up_nobody_else() -> None:
    """A slow visitor's answer waits in its window, and with it nothing but the origin of that answer."""
    ends = Ends()
    slow, fast = ends.asked(GET), ends.asked(GET)
    got = {slow: 0, fast: 0}
    ends.connector.answer(slow, OK)
    ends.connector.answer(fast, OK)
    for _ in range(400):
        for stream in (slow, fast):
            ends.connector.send(stream, bytes(min(ends.connector.room(stream), 100_000)))
        for event in ends.to_edge():
            if isinstance(event.reply, Body):
                got[event.stream] += len(event.reply.data)
                if event.stream == fast:
                    ends.edge.acknowledge(fast, len(event.reply.data))
        ends.to_connector()
    assert got[slow] == FIRST_WINDOW
    assert ends.connector.room(slow) == 0
    assert got[fast] > 20 * STREAM_WINDOW
    ends.edge.acknowledge(slow, FIRST_WINDOW // 2)
    ends.to_connector()
    assert ends.connector.room(slow) == FIRST_WINDOW // 2


def test_the_window_doubles_with_each_that_is_taken_whole() -> None:
    ends = Ends()
    stream = ends.asked(GET)
    ends.connector.answer(stream, OK)
    rooms = []
    for _ in range(5):
        rooms.append(ends.connector.room(stream))
        ends.connector.send(stream, bytes(rooms[-1]))
        ends.to_edge()
        ends.edge.acknowledge(stream, rooms[-1])
        ends.to_connector()
    assert rooms == [FIRST_WINDOW, 2 * FIRST_WINDOW, *[STREAM_WINDOW] * 3]


def test_what_the_origin_does_not_take_is_not_sent() -> None:
    ends = Ends()
    stream = ends.asked(POST)
    sent = 0
    while room := ends.edge.room(stream):
        ends.edge.send(stream, bytes(room))
        sent += room
        ends.to_connector()
        ends.to_edge()
    assert sent == FIRST_WINDOW
    ends.connector.acknowledge(stream, sent)
    assert Room(stream) in ends.edge.receive(ends.connector.take_outgoing(), now=0)
    assert ends.edge.room(stream) == 2 * FIRST_WINDOW


def test_as_many_requests_as_the_connector_takes() -> None:
    peer = Peer()
    peer.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 3})
    peer.events()
    assert peer.edge.capacity() == 2  # the control stream is one
    first = peer.edge.ask(GET)
    peer.edge.ask(GET)
    assert peer.edge.capacity() == 0
    with pytest.raises(WireError, match="as many requests as it can take"):
        peer.edge.ask(GET)
    peer.edge.give_up(first)
    assert peer.edge.capacity() == 1
    for _ in range(100):  # what was given up is no longer under way for anybody
        peer.edge.give_up(peer.edge.ask(GET))
    peer.events()
    assert peer.edge.capacity() == 1
    peer.edge.ask(GET)


def test_a_connector_that_takes_fewer_all_at_once() -> None:
    peer = Peer()
    for _ in range(10):
        peer.edge.give_up(peer.edge.ask(GET))
    peer.events()
    peer.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 3})
    peer.events()
    for _ in range(2):
        peer.edge.ask(GET)
    peer.events()
    assert peer.edge.capacity() == 0


def test_headers_that_come_too_late_disturb_nobody() -> None:
    peer = Peer()
    peer.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 10 * STREAMS})
    peer.events()
    late = peer.edge.ask(GET)
    peer.events()
    for each in [late, *(peer.edge.ask(GET) for _ in range(STREAMS - 2))]:
        peer.edge.give_up(each)
    for _ in range(STREAMS - 1):
        peer.edge.ask(GET)
    peer.h2.send_headers(late, [(":status", "200")])
    assert not peer.edge.receive(peer.h2.data_to_send(), now=0)
    assert peer.edge.capacity() == 0


# --- life


def test_a_silent_connector_is_asked_and_then_lost() -> None:
    ends = Ends()
    stream = ends.asked(GET)
    assert ends.edge.next_tick() == QUIET
    assert ends.edge.tick(QUIET - 1) == []
    assert ends.edge.take_outgoing() == b""
    assert ends.edge.tick(QUIET) == []
    assert ends.edge.next_tick() == QUIET + PATIENCE
    ends.to_connector()
    assert ends._told(ends.edge.receive(ends.connector.take_outgoing(), now=QUIET + 1)) == []
    assert ends.edge.next_tick() == 2 * QUIET + 1

    assert ends.edge.tick(2 * QUIET + 1) == []
    reason = "the connector is silent"
    assert ends.edge.tick(2 * QUIET + 1 + PATIENCE) == [
        Replied(stream, Broken(reason, lost=True)),
        Lost(reason),
    ]
    assert ends.edge.tick(10 * QUIET) == []


def test_a_lost_connection() -> None:
    ends = Ends()
    stream = ends.asked(POST)
    sent = ends.edge.configure(1, b"{}")
    told = ends.edge.lose("gone")
    assert told == [
        Replied(stream, Broken("gone", lost=True)),
        Configured(sent, NotApplied("gone")),
        Lost("gone"),
    ]
    assert ends.edge.lose("again") == []
    assert ends.edge.capacity() == ends.edge.room(stream) == 0
    ends.edge.send(stream, b"x")
    ends.edge.give_up(stream)
    ends.edge.control(b"x")
    ends.edge.acknowledge(stream, 1)
    assert ends.edge.receive(b"anything", now=0) == []
    assert ends.connector.lose("gone") == [Asked(stream, Broken("gone")), Lost("gone")]


def test_the_connector_says_goodbye() -> None:
    peer = Peer()
    peer.h2.close_connection()
    assert isinstance(peer.events()[-1], Lost)


# --- a connector that is none


@given(any_headers, st.integers(200, 599))
def test_any_answer(headers: list[Header], status: int) -> None:
    ends = Ends()
    stream = ends.asked(GET)
    answer = Answered(status, tuple((canonical(b"X-" + name), value) for name, value in headers))
    ends.connector.answer(stream, answer)
    assert ends.to_edge() == [Replied(stream, answer)]


class Transfers(RuleBasedStateMachine):
    """Requests and answers of any size at once: every byte arrives once and in order, and nobody sends what the other did not take."""

    def __init__(self) -> None:
        super().__init__()
        self.ends = Ends()
        self.open: dict[int, bool] = {}  # whether it is answered
        self.sent: dict[tuple[int, str], int] = {}
        self.came: dict[tuple[int, str], int] = {}
        self.taken: dict[tuple[int, str], int] = {}

    def _deliver(self) -> None:
        for asked in self.ends.to_connector():
            if isinstance(asked.what, Body):
                self._count(self.came, (asked.stream, "up"), len(asked.what.data))
        for replied in self.ends.to_edge():
            if isinstance(replied.reply, Body):
                self._count(self.came, (replied.stream, "down"), len(replied.reply.data))

    def _count(self, where: dict[tuple[int, str], int], key: tuple[int, str], size: int) -> None:
        where[key] = where.get(key, 0) + size

    @rule()
    def ask(self) -> None:
        self.open[self.ends.edge.ask(POST)] = False
        self._deliver()

    @precondition(lambda self: self.open)
    @rule(data=st.data(), size=st.integers(0, 300_000))
    def send(self, data: st.DataObject, size: int) -> None:
        stream = data.draw(st.sampled_from(sorted(self.open)))
        for way, end in (("up", self.ends.edge), ("down", self.ends.connector)):
            if way == "down" and not self.open[stream]:
                self.ends.connector.answer(stream, OK)
                self.open[stream] = True
            part = min(size, end.room(stream))
            end.send(stream, bytes(part))
            self._count(self.sent, (stream, way), part)
        self._deliver()

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def take(self, data: st.DataObject) -> None:
        stream = data.draw(st.sampled_from(sorted(self.open)))
        for way, end in (("up", self.ends.connector), ("down", self.ends.edge)):
            left = self.came.get((stream, way), 0) - self.taken.get((stream, way), 0)
            end.acknowledge(stream, left)
            self._count(self.taken, (stream, way), left)
        self._deliver()

    @precondition(lambda self: any(self.open.values()))
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        stream = data.draw(st.sampled_from([each for each, answered in self.open.items() if answered]))
        self.ends.edge.send(stream, b"", end=True)
        self._deliver()
        self.ends.connector.send(stream, b"", end=True)
        self._deliver()
        del self.open[stream]

    @invariant()
    def everything_arrives(self) -> None:
        for key, size in self.sent.items():
            assert self.came.get(key, 0) == size
            assert size - self.taken.get(key, 0) <= STREAM_WINDOW
        assert self.ends.edge.capacity() == STREAMS - 1 - len(self.open)


TestTransfers = Transfers.TestCase
TestTransfers.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)

LATE: list[Callable[[ConnectorConnection, int], None]] = [
    lambda end, stream: end.answer(stream, OK),
    lambda end, stream: end.send(stream, b"x"),
    lambda end, stream: end.end(stream, ()),
    lambda end, stream: end.give_up(stream),
    lambda end, stream: end.acknowledge(stream, 1),
]


@pytest.mark.parametrize("does", LATE)
def test_what_comes_too_late_at_the_connector(does: Callable[[ConnectorConnection, int], None]) -> None:
    ends = Ends()
    stream = ends.asked(POST)
    ends.edge.give_up(stream)
    ends.to_connector()
    does(ends.connector, stream)
    assert ends.to_edge() == []


def test_requests_that_connectors_do_not_read() -> None:
    """What stands behind the marks is looked at like a visitor's: the stream is broken off, the connection is not."""
    client = H2Connection(H2Configuration(client_side=True, validate_outbound_headers=False))
    client.initiate_connection()
    connector = ConnectorConnection(now=0)
    path = [(":method", "GET"), (":scheme", "https"), (":authority", "a b"), (":path", "/")]
    client.send_headers(1, path, end_stream=True)
    assert [
        event for event in connector.receive(client.data_to_send(), now=0) if isinstance(event, Asked)
    ] == []
    assert ConfigurationCame not in map(type, connector.receive(b"", now=0))
