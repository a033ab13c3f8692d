"""The bounds of connections over QUIC, and what strangers send to the port."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from qh3.quic.configuration import QuicConfiguration
from qh3.quic.connection import QuicConnection
from qh3.quic.events import ConnectionTerminated, QuicEvent, StreamDataReceived
from qh3.quic.packet import QuicErrorCode, encode_quic_retry

from halfopen.edge.connectors.quic import QuicLink
from halfopen.edge.connectors.quic_connection import (
    FIRST_WINDOW,
    STREAM_WINDOW,
    BoundedConnection,
    _Finished,
    configuration,
)
from halfopen.edge.connectors.quic_listener import QuicListener, listen
from halfopen.edge.connectors.quic_streams import QuicStream
from halfopen.edge.trust import NAMES, Trust
from halfopen.tunnelwire.exchange import Kind, Request
from tests.edge.place import Place
from tests.edge.test_edge import connector, play, routed, visiting

MIB = 1 << 20
ADDRESS = ("192.0.2.1", 7)


class Pair:
    """Both ends of a connection, without sockets; the edge's is the server."""

    def __init__(self, folder: Path) -> None:
        trust = Trust(folder)
        trust.context()
        ours = configuration(is_client=False)
        trust.load(ours)
        self.client = QuicConnection(configuration=_stranger(trust))
        self.now = 0.0
        self.client.connect(ADDRESS, now=self.now)
        self.server = BoundedConnection(
            configuration=ours,
            original_destination_connection_id=self.client.original_destination_connection_id,
        )
        self.went_on()

    def went_on(self) -> list[QuicEvent]:
        """Let both talk for a second; gives what the edge was told."""
        for _ in range(100):
            for one, other in ((self.client, self.server), (self.server, self.client)):
                for data, _ in one.datagrams_to_send(now=self.now):
                    other.receive_datagram(data, ADDRESS, now=self.now)
            self.now += 0.01
            for each in (self.client, self.server):
                if (timer := each.get_timer()) is not None and timer <= self.now:
                    each.handle_timer(now=self.now)
        return list(iter(self.server.next_event, None))


def _stranger(trust: Trust) -> QuicConfiguration:
    wanted = QuicConfiguration(is_client=True, alpn_protocols=["argotunnel"], server_name=NAMES[1])
    wanted.load_verify_locations(cadata=trust.authority().encode())
    return wanted


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def size(events: list[QuicEvent]) -> int:
    return sum(len(each.data) for each in events if isinstance(each, StreamDataReceived))


def ended(events: list[QuicEvent]) -> list[int]:
    return [each.error_code for each in events if isinstance(each, ConnectionTerminated)]


def test_of_a_request_no_more_comes_than_is_taken(pair: Pair) -> None:
    number = pair.server.get_next_available_stream_id()
    pair.server.send_stream_data(number, b"request")
    pair.went_on()
    pair.client.send_stream_data(number, bytes(8 * MIB))
    came = size(pair.went_on())
    assert came == FIRST_WINDOW
    assert not pair.went_on()
    while came < 8 * MIB:
        pair.server.take(pair.server.stream(number), STREAM_WINDOW // 2)
        more = size(pair.went_on())
        assert more == min(STREAM_WINDOW // 2, 8 * MIB - came)
        came += more


class Answering:
    """A visitor that takes everything, or nothing any more."""

    def __init__(self) -> None:
        self.willing = True
        self.size = 0

    def reply(self, reply: object) -> None:
        pass

    def received(self, data: bytes) -> bool:
        self.size += len(data)
        return self.willing

    def drained(self) -> None:
        pass


def test_the_window_of_a_request_grows_by_what_is_taken(pair: Pair) -> None:
    link = cast(QuicLink, SimpleNamespace(quic=pair.server, flush=lambda: None))
    visitor = Answering()
    stream = QuicStream(link, 1, Request(Kind.HTTP, b"app.example"), visitor)
    pair.went_on()
    pair.client.send_stream_data(1, bytes(16 * MIB))

    def come() -> int:
        before = visitor.size
        for event in pair.went_on():
            if isinstance(event, StreamDataReceived):
                stream.came(len(event.data))
                stream.received(event.data)
                stream.taken()
        return visitor.size - before

    while visitor.size < 8 * MIB:
        assert come()
    visitor.willing = False
    waiting = come()
    assert 4 * FIRST_WINDOW < waiting <= STREAM_WINDOW
    assert not come()
    visitor.willing = True
    stream.resume()
    assert come()


def test_one_that_is_not_taken_holds_up_no_other(pair: Pair) -> None:
    for _ in range(20):
        number = pair.server.get_next_available_stream_id()
        pair.server.send_stream_data(number, b"request")
    pair.went_on()
    for stream in range(1, 81, 4):
        pair.client.send_stream_data(stream, bytes(2 * MIB))
    came = 0
    while more := size(pair.went_on()):
        came += more
    assert came == 20 * FIRST_WINDOW
    pair.server.send_stream_data(81, b"request")
    pair.went_on()
    pair.client.send_stream_data(81, bytes(1000), end_stream=True)
    assert size(pair.went_on()) == 1000


def test_an_end_that_is_said_before_the_bytes_are_acknowledged_is_sent(pair: Pair) -> None:
    number = pair.server.get_next_available_stream_id()
    pair.server.send_stream_data(number, b"request")
    for data, _ in pair.server.datagrams_to_send(now=pair.now):
        pair.client.receive_datagram(data, ADDRESS, now=pair.now)
    pair.client.send_stream_data(number, b"answer", end_stream=True)
    pair.server.send_stream_data(number, b"", end_stream=True)
    pair.now += 1  # by then the bytes are acknowledged
    pair.client.handle_timer(now=pair.now)
    for data, _ in pair.client.datagrams_to_send(now=pair.now):
        pair.server.receive_datagram(data, ADDRESS, now=pair.now)
    pair.went_on()
    came = [each for each in iter(pair.client.next_event, None) if isinstance(each, StreamDataReceived)]
    assert [(each.data, each.end_stream) for each in came] == [(b"request", False), (b"", True)]
    assert not pair.server.is_open(number)


def test_who_sends_beyond_a_window_is_cut_off(pair: Pair) -> None:
    pair.client.send_stream_data(0, b"")
    pair.client._streams[0].max_stream_data_remote = 1 << 40
    pair.client.send_stream_data(0, bytes(MIB))
    assert ended(pair.went_on()) == [QuicErrorCode.FLOW_CONTROL_ERROR]


def test_who_opens_too_many_streams_is_cut_off(pair: Pair) -> None:
    pair.client._remote_max_streams_bidi = 1 << 40
    for number in range(0, 80, 4):
        pair.client.send_stream_data(number, b"x")
    assert ended(pair.went_on()) == [QuicErrorCode.STREAM_LIMIT_ERROR]


def test_as_many_streams_as_may_be_are_no_reason_for_more(pair: Pair) -> None:
    for number in range(0, 64, 4):
        pair.client.send_stream_data(number, b"x", end_stream=True)
    assert not ended(pair.went_on())
    assert pair.client._remote_max_streams_bidi == 16


@given(st.lists(st.integers(0, 200), unique=True))
def test_streams_that_are_over_are_known(numbers: list[int]) -> None:
    over = _Finished()
    for number in numbers:
        over.add(number)
    assert {number for number in range(220) if number in over} == set(numbers)


@given(st.permutations(range(1, 201, 4)))
def test_of_streams_that_are_over_little_is_kept(numbers: list[int]) -> None:
    over = _Finished()
    for number in numbers:
        over.add(number)
    assert not over._beyond


# --- strangers at the port


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("edge"), 1, "quic")
    with closing(made.here), made.edge():
        yield made


@pytest.fixture
def stranger(place: Place) -> Iterator[socket.socket]:
    host, _, port = place.connectors.rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as opened:
        opened.settimeout(0.5)
        opened.connect((host, int(port)))
        yield opened


def initial(token: bytes = b"", version: int = 1, length: int = 1200) -> bytes:
    """The beginning of a connection, with nothing that could be read in it."""
    head = b"\xc0" + version.to_bytes(4) + b"\x08" + b"original" + b"\x00"
    head += (0x4000 | len(token)).to_bytes(2) + token
    rest = length - len(head) - 2
    return head + (0x4000 | rest).to_bytes(2) + bytes(rest)


def test_who_begins_is_asked_to_prove_the_address_with_less_than_was_sent(stranger: socket.socket) -> None:
    stranger.send(initial())
    asked = stranger.recv(2000)
    assert asked[0] >> 4 == 0xF  # Retry
    assert len(asked) < 200


def test_another_version_is_told_which_there_is(stranger: socket.socket) -> None:
    stranger.send(initial(version=0x1A2A3A4A))
    told = stranger.recv(2000)
    assert told[1:5] == bytes(4)
    assert (1).to_bytes(4) in told[5:]


@pytest.mark.parametrize(
    "sent", [initial(length=1199), initial(token=bytes(60)), bytes(1400), b"\xff" * 1400, b"\x40"]
)
def test_what_nobody_can_mean_is_not_answered(stranger: socket.socket, sent: bytes) -> None:
    stranger.send(sent)
    with pytest.raises(TimeoutError):
        stranger.recv(2000)


def test_a_token_of_another_address_is_none(place: Place, stranger: socket.socket) -> None:
    stranger.send(initial())
    retry = stranger.recv(2000)
    cid, token = retry[7:15], retry[15:-16]
    assert len(token) == 8 + len(b"original") + 32
    assert retry == encode_quic_retry(1, cid, b"", b"original", token, retry[0] & 0xF)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.settimeout(0.5)
        other.connect(stranger.getpeername())
        other.send(initial(token))
        with pytest.raises(TimeoutError):
            other.recv(2000)


def test_strangers_disturb_nobody(place: Place, stranger: socket.socket) -> None:
    async def scene(tunnel: str, token: object) -> None:
        async with connector(place, token).connected(1), visiting(place) as client:  # type: ignore[arg-type]
            await routed(place)
            for number in range(2_000):
                stranger.send(initial(number.to_bytes(40)))
                stranger.send(initial())
                stranger.send(bytes([number % 256]) * 1_300)
                if number % 100 == 0:
                    assert (await client.get("/")).status_code == 200

    play(place, scene)


def test_who_goes_away_in_the_middle_is_forgotten(place: Place) -> None:
    """As the pre-checks of cloudflared do: a handshake, and the end."""

    async def scene(tunnel: str, token: object) -> None:
        for _ in range(3):
            link = await connector(place, token).connect()  # type: ignore[arg-type]
            link.close()
            await link.lost.wait()

    play(place, scene)
    assert "Traceback" not in (place.folder / "edge.log").read_text()


def test_what_comes_at_once_is_told_apart_by_who_sent_it() -> None:
    came: list[tuple[bytes, tuple[str, int]]] = []

    class Noting(QuicListener):
        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            came.append((data, addr))

    async def scene(one: socket.socket, other: socket.socket) -> None:
        listener = Noting(configuration(is_client=False), lambda *_: pytest.fail("nobody has come"))
        address = await listen(listener, "127.0.0.1", 0)
        for each in (one, other):
            each.connect(address)
        sent = []
        for number in range(20):
            for each in (one, other):
                data = bytes([number]) * (100 + number % 3)
                each.send(data)
                sent.append((data, each.getsockname()))
        async with asyncio.timeout(10):
            while len(came) < len(sent):
                await asyncio.sleep(0.01)
        assert came == sent
        listener.close()

    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as a,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as b,
    ):
        asyncio.run(scene(a, b))
