"""Streams of a QUIC connection: how they begin, requests on them, calls on them, and what does not belong there."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfopen.errors import WireError
from halfopen.tunnelwire.configuration import Applied, ConfigurationSent, NotApplied
from halfopen.tunnelwire.exchange import Answered, Body, Broken, End, Kind, Refused, Reply, Request
from halfopen.tunnelwire.headers import Header, canonical
from halfopen.tunnelwire.quic.connect import (
    ConnectRequest,
    ConnectResponse,
    Metadata,
    read_answer,
    read_request,
    write_answer,
    write_request,
)
from halfopen.tunnelwire.quic.connector_streams import ConnectorCallStream, ConnectorDataStream
from halfopen.tunnelwire.quic.edge_streams import ConfigurationStream, EdgeCallStream, EdgeDataStream
from halfopen.tunnelwire.quic.head import Signature, take_signature, write_head
from halfopen.tunnelwire.rpc.methods import (
    REGISTER_CONNECTION,
    REGISTER_UDP_SESSION,
    UNREGISTER_UDP_SESSION,
    Nothing,
    RegisterConnection,
    RegisterUdpSession,
    RegisterUdpSessionResponse,
    UdpSessionRegistered,
    UnregisterUdpSession,
)
from halfopen.tunnelwire.rpc.vat import Failed, Returned, Vat
from tests.tunnelwire.structs import SCHEMA
from tests.tunnelwire.test_headers import any_headers

POST = Request(Kind.HTTP, b"app.example", b"POST", body=True)
GET = Request(Kind.HTTP, b"app.example", path=b"/a?b=c", headers=((b"accept", b"*/*"),))
OK = Answered(200, ((b"Content-Type", b"text/plain"),))


def opened(stream: bytes) -> ConnectorDataStream:
    """The connector's end, with its signature taken off."""
    left = bytearray(stream)
    assert take_signature(left) is Signature.DATA
    end = ConnectorDataStream()
    end.receive(bytes(left))
    return end


# --- how they begin


@pytest.mark.parametrize("signature", Signature)
def test_signatures(signature: Signature) -> None:
    stream = bytearray()
    for byte in signature.value[:-1]:
        stream.append(byte)
        assert take_signature(stream) is None
    stream += signature.value[-1:] + b"rest"
    assert take_signature(stream) is signature
    assert stream == b"rest"


@pytest.mark.parametrize("start", [b"\0", b"\x0a\x37", b"\x52\xbb\x82\x5c\xdb\x66", b"GET / HTTP/1.1"])
def test_what_is_no_signature(start: bytes) -> None:
    with pytest.raises(WireError, match=start[:6].hex(" ")):
        take_signature(bytearray(start))


def test_a_request_as_it_stands_in_the_schema() -> None:
    opening = EdgeDataStream(GET).opening
    assert opening[:8] == bytes.fromhex("0A36CD12A13E") + b"01"
    with SCHEMA.ConnectRequest.from_bytes(opening[8:]) as message:
        assert message.to_dict() == {
            "dest": "https://app.example/a?b=c",
            "type": "http",
            "metadata": [
                {"key": "HttpMethod", "val": "GET"},
                {"key": "HttpHost", "val": "app.example"},
                {"key": "HttpHeader:Accept", "val": "*/*"},
            ],
        }


def test_an_answer_as_it_stands_in_the_schema() -> None:
    metadata = [{"key": "HttpStatus", "val": "200"}, {"key": "HttpHeader:Content-Type", "val": "text/plain"}]
    sent = opened(EdgeDataStream(GET).opening).answer(OK)
    with SCHEMA.ConnectResponse.from_bytes(sent[8:]) as message:
        assert message.to_dict(verbose=True) == {"error": "", "metadata": metadata}
    theirs = sent[:8] + SCHEMA.ConnectResponse.new_message(metadata=metadata).to_bytes()
    assert EdgeDataStream(GET).receive(theirs + b"body") == [OK, Body(b"body")]


# --- requests and answers


def keys(message: ConnectRequest) -> dict[bytes, bytes]:
    return {each.key: each.val for each in message.metadata}


@pytest.mark.parametrize(
    ("headers", "body", "chunked"),
    [((), False, False), ((), True, True), (((b"content-length", b"3"),), True, False), (((b"content-length", b"0"),), False, False)],
)  # fmt: skip
def test_a_body_of_unknown_length_is_said_to_be_chunked(headers: Any, body: bool, chunked: bool) -> None:
    request = Request(Kind.HTTP, b"app.example", b"POST", headers=headers, body=body)
    message = write_request(request)
    assert keys(message).get(b"HttpHeader:Transfer-Encoding") == (b"chunked" if chunked else None)
    assert read_request(message) == request


def test_tcp() -> None:
    request = Request(Kind.TCP, b"192.0.2.1:22", body=True)
    assert write_request(request) == ConnectRequest(b"192.0.2.1:22", 2)
    assert read_request(write_request(request)) == request
    assert write_answer(Answered(200), Kind.TCP) == ConnectResponse()
    traced = ConnectResponse(metadata=(Metadata(b"Cf-Int-Cloudflared-Tracing", b"x"),))
    assert read_answer(traced, Kind.TCP) == Answered(200)


def test_websocket() -> None:
    request = Request(Kind.WEBSOCKET, b"app.example", headers=((b"sec-websocket-key", b"k"),), body=True)
    assert write_request(request).type == 1
    upgrade = Answered(101, ((b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")))
    assert read_answer(write_answer(upgrade, Kind.WEBSOCKET), Kind.WEBSOCKET) == upgrade


@pytest.mark.parametrize("refused", [Refused("no origin"), Refused("too many", rate_limited=True)])
def test_refused(refused: Refused) -> None:
    for kind in Kind:
        assert read_answer(write_answer(refused, kind), kind) == refused
    with_status = ConnectResponse("no origin", (Metadata(b"HttpStatus", b"502"),))
    assert read_answer(with_status, Kind.HTTP) == Refused("no origin")


@given(any_headers, st.integers(101, 999))
def test_any_answer(headers: list[Header], status: int) -> None:
    plain = [(b"X-" + name, value) for name, value in headers]
    answer = Answered(status, tuple((canonical(name), value) for name, value in plain))
    assert read_answer(write_answer(answer, Kind.HTTP), Kind.HTTP) == answer


def test_what_holds_for_one_hop_only_does_not_reach_the_visitor() -> None:
    answer = Answered(
        200, ((b"Connection", b"X-Hop"), (b"X-Hop", b"1"), (b"Keep-Alive", b"1"), (b"Etag", b"x"))
    )
    assert read_answer(write_answer(answer, Kind.HTTP), Kind.HTTP) == Answered(200, ((b"Etag", b"x"),))


@pytest.mark.parametrize(
    "status", [None, b"", b"20", b"2000", b"abc", b"100", b"-10", b" 20", b"\xb2\xb2\xb2"]
)
def test_answers_without_a_status(status: bytes | None) -> None:
    metadata = () if status is None else (Metadata(b"HttpStatus", status),)
    with pytest.raises(WireError, match="an answer of the status"):
        read_answer(ConnectResponse(metadata=metadata), Kind.HTTP)


@pytest.mark.parametrize(
    "header", [(b"HttpHeader:", b""), (b"HttpHeader:A:B", b""), (b"HttpHeader:A", b"x\r\nSet-Cookie: y")]
)
def test_headers_that_are_none(header: tuple[bytes, bytes]) -> None:
    metadata = (Metadata(b"HttpStatus", b"200"), Metadata(*header))
    with pytest.raises(WireError, match="header"):
        read_answer(ConnectResponse(metadata=metadata), Kind.HTTP)
    with pytest.raises(WireError, match="header"):
        read_request(
            ConnectRequest(b"http://app.example/", metadata=(Metadata(b"HttpHost", b"a"), *metadata))
        )


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"method": b"GET /"}, "method: 'GET /' cannot"),
        ({"method": b""}, "method"),
        ({"host": b"a/b"}, "host"),
        ({"host": b"user@a"}, "host"),
        ({"host": b""}, "host"),
        ({"scheme": b"file"}, "scheme"),
        ({"path": b""}, "path"),
        ({"path": b"*"}, "path"),
        ({"path": b"/ HTTP/1.1\r\n"}, "path"),
        ({"headers": ((b"a:b", b""),)}, "header"),
        ({"headers": ((b"A", b""),)}, "header 'A' does not go through a tunnel"),
        ({"headers": ((b"connection", b""),)}, "does not go"),
        ({"headers": ((b"transfer-encoding", b"chunked"),)}, "does not go"),
        ({"headers": ((b"cf-cloudflared-proxy-src", b"x"),)}, "does not go"),
        ({"headers": ((b"cf-cloudflared-proxy-connection-upgrade", b"x"),)}, "does not go"),
    ],
)
def test_requests_that_are_none(changed: dict[str, Any], part: str) -> None:
    with pytest.raises(WireError, match=part):
        Request(Kind.HTTP, **{"host": b"app.example", **changed})


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (ConnectRequest(b"x", 3), "of kind 3; accepted: 0, 1, 2"),
        (ConnectRequest(b"app.example"), "no URL"),
        (ConnectRequest(b"http://app.example/"), "host"),
    ],
)
def test_messages_that_are_no_request(message: ConnectRequest, words: str) -> None:
    with pytest.raises(WireError, match=words):
        read_request(message)


# --- data streams

SENT = write_head(write_answer(OK, Kind.HTTP))
REFUSED = write_head(write_answer(Refused("no"), Kind.HTTP))
RESET = "reset"

TABLE: dict[str, tuple[list[tuple[bytes, bool] | str], list[Reply]]] = {
    "nothing yet": ([(SENT[:-1], False)], []),
    "answer": ([(SENT, False)], [OK]),
    "answer and all": ([(SENT + b"body", True)], [OK, Body(b"body"), End()]),
    "answer and end": ([(SENT, True)], [OK, End()]),
    "body": ([(SENT, False), (b"a", False), (b"", False), (b"b", True)], [OK, Body(b"a"), Body(b"b"), End()]),
    "body broken off": ([(SENT + b"a", False), RESET], [OK, Body(b"a"), Broken("broken off by the connector")]),
    "no answer": ([(b"", True)], [Broken("ended without an answer")]),
    "half an answer": ([(SENT[:20], True)], [Broken("ended without an answer")]),
    "half an answer broken off": ([(SENT[:20], False), RESET], [Broken("broken off by the connector")]),
    "refused": ([(REFUSED, False)], [Refused("no")]),
    "refused and all": ([(REFUSED + b"x", True), RESET], [Refused("no")]),
    "over": ([(SENT, True), (b"more", True), RESET], [OK, End()]),
    "no signature": ([(b"HTTP/1.1", False), (SENT, True)], [Broken("a stream that begins with 48 54 54 50 2f 31")]),
    "for calls": ([(Signature.RPC.value, False)], [Broken("a stream for calls in the place of one for data")]),
    "no status": ([(write_head(ConnectResponse()), False)], [Broken("an answer of the status ''")]),
}  # fmt: skip


@pytest.mark.parametrize("case", TABLE)
def test_data_streams(case: str) -> None:
    inputs, expected = TABLE[case]
    stream = EdgeDataStream(GET)
    replies: list[Reply] = []
    for each in inputs:
        replies += stream.reset() if isinstance(each, str) else stream.receive(*each)
    assert replies == expected


@given(st.binary(max_size=100), st.data())
def test_pieces(body: bytes, data: st.DataObject) -> None:
    """An exchange says the same in whatever pieces it comes."""
    edge = EdgeDataStream(POST)
    left = bytearray(edge.opening)
    take_signature(left)
    connector = ConnectorDataStream()

    def deliver(stream: bytes, receive: Any) -> list[Any]:
        events: list[Any] = []
        while stream:
            size = data.draw(st.integers(1, len(stream)))
            events += receive(stream[:size])
            stream = stream[size:]
        events += receive(b"", end=True)
        return events

    def joined(events: list[Any]) -> list[Any]:
        pieces = b"".join(event.data for event in events if isinstance(event, Body))
        return [*(event for event in events if not isinstance(event, Body)), pieces]

    assert joined(deliver(bytes(left) + body, connector.receive)) == [POST, End(), body]
    assert joined(deliver(connector.answer(OK) + body, edge.receive)) == [OK, End(), body]


def test_the_end_before_a_request() -> None:
    assert ConnectorDataStream().receive(b"01", end=True) == [Broken("ended without a request")]


@given(st.binary(max_size=100))
def test_any_bytes_behind_a_signature(sent: bytes) -> None:
    replies = EdgeDataStream(GET).receive(Signature.DATA.value + b"01" + sent, end=True)
    assert isinstance(replies[-1], (Broken, End, Refused))
    try:
        ConnectorDataStream().receive(b"01" + sent, end=True)
    except WireError:
        return


def test_an_answer_too_long() -> None:
    large = write_answer(Answered(200, ((b"A", b"x" * (3 << 20)),)), Kind.HTTP)
    (broken,) = EdgeDataStream(GET).receive(write_head(large)[:100])
    assert isinstance(broken, Broken)
    assert "accepted: at most 2,097,152" in broken.reason


# --- calls


def test_a_configuration() -> None:
    edge, connector = ConfigurationStream(7, b'{"ingress":[]}'), ConnectorCallStream()
    sent = bytearray(edge.take_outgoing())
    assert take_signature(sent) is Signature.RPC
    assert connector.receive(bytes(sent)) == [ConfigurationSent(7, b'{"ingress":[]}')]
    assert edge.receive(connector.take_outgoing()) is None
    connector.applied(6, "The last ingress rule must match all URLs")
    assert edge.receive(connector.take_outgoing()) == Applied(6, "The last ingress rule must match all URLs")
    assert connector.receive(edge.take_outgoing()) == []


def test_a_configuration_that_nobody_takes() -> None:
    edge, nobody = ConfigurationStream(7, b"{}"), Vat()
    nobody.receive(edge.take_outgoing()[6:])
    assert edge.receive(nobody.take_outgoing()) == NotApplied("there is no such method")
    assert isinstance(ConfigurationStream(7, b"{}").receive(b"\xff" * 8), NotApplied)


@pytest.mark.parametrize("size", [1, 5, 6, 1_000])
def test_flows_of_udp_are_told_to_have_ended(size: int) -> None:
    edge, connector = EdgeCallStream(), Vat()
    connector.call(UNREGISTER_UDP_SESSION, UnregisterUdpSession(b"s" * 16, "idle"))
    sent = Signature.RPC.value + connector.take_outgoing()
    for start in range(0, len(sent), size):
        edge.receive(sent[start : start + size])
    assert connector.receive(edge.take_outgoing()) == [Returned(1, UNREGISTER_UDP_SESSION, Nothing())]


def test_other_calls_to_the_edge_are_not_known() -> None:
    edge, connector = EdgeCallStream(), Vat()
    for method, params in (
        (REGISTER_UDP_SESSION, RegisterUdpSession()),
        (REGISTER_CONNECTION, RegisterConnection()),
    ):
        connector.call(method, params)
    edge.receive(Signature.RPC.value + connector.take_outgoing())
    answers = connector.receive(edge.take_outgoing())
    assert [type(each) for each in answers] == [Failed, Failed]


@pytest.mark.parametrize("start", [Signature.DATA.value, b"GET / HTTP/1.1"])
def test_streams_that_connectors_do_not_open(start: bytes) -> None:
    with pytest.raises(WireError):
        EdgeCallStream().receive(start)


def test_flows_of_udp_are_refused_by_the_connector() -> None:
    connector, edge = ConnectorCallStream(), Vat()
    edge.call(REGISTER_UDP_SESSION, RegisterUdpSession(b"s" * 16, b"\x7f\0\0\1", 53, 1))
    edge.call(UNREGISTER_UDP_SESSION, UnregisterUdpSession(b"s" * 16, ""))
    assert connector.receive(edge.take_outgoing()) == []
    refused = UdpSessionRegistered(RegisterUdpSessionResponse("UDP is not known here"))
    assert edge.receive(connector.take_outgoing()) == [
        Returned(1, REGISTER_UDP_SESSION, refused),
        Returned(2, UNREGISTER_UDP_SESSION, Nothing()),
    ]
