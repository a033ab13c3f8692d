"""What cloudflared makes of requests and their answers, as the recordings show it. Each test is a row of `recording.rows`."""

from __future__ import annotations

import re
from base64 import b64decode

from hyperframe.frame import DataFrame, RstStreamFrame

from halfopen.tunnelwire.exchange import Answered, Body, Broken, End, Refused
from halfopen.tunnelwire.headers import META, USER_HEADERS
from halfopen.tunnelwire.quic.connect import ConnectResponse
from halfopen.tunnelwire.quic.head import Head, Signature
from tests.tunnelwire.recording.closer import asked, frames, headers, stream
from tests.tunnelwire.recording.play import Replay
from tests.tunnelwire.recording.quic_end import Unwanted
from tests.tunnelwire.recording.rows import shown
from tests.tunnelwire.recording.turns import Reset, Stopped


def response(play: Replay, number: int) -> ConnectResponse:
    head = Head(ConnectResponse)
    head.receive(stream(play, number))
    assert head.message is not None
    return head.message


# --- answers


@shown("answers", over="http2")
def test_headers_in_one(play: Replay) -> None:
    """All headers of an origin stand in one: base64 without padding, names as HTTP/1 writes them, one pair for each value."""
    told = dict(headers(play)[asked(play, 0)][0])
    pairs = told[USER_HEADERS].split(b";")
    assert all(re.fullmatch(rb"[A-Za-z0-9+/]+:[A-Za-z0-9+/]*", pair) for pair in pairs)
    names = [b64decode(pair.split(b":")[0] + b"==") for pair in pairs]
    assert sorted(names) == [b"Content-Length", b"Content-Type", b"Set-Cookie", b"Set-Cookie", b"X-Origin"]
    assert told[b"content-length"] == b"5"
    assert told[META] == b'{"src":"origin"}'


@shown("answers", over="http2")
def test_no_headers(play: Replay) -> None:
    """Where the origin has none, that header is there and empty."""
    assert dict(headers(play)[asked(play, 4)][0])[USER_HEADERS] == b""


@shown("answers", over="http2")
def test_what_the_connector_adds_means_nothing(play: Replay) -> None:
    """Beside it stand a date and a content type that was guessed; neither is the origin's."""
    told = dict(headers(play)[asked(play, 2)][0])
    assert b"date" in told
    assert told[b"content-type"] == b"text/html; charset=utf-8"
    assert play.ends[0].replies(asked(play, 2))[0] == Answered(200, ((b"Content-Length", b"14"),))


@shown("answers")
def test_statuses(play: Replay) -> None:
    """An origin's status, headers and body come as they are, to HEAD without a body."""
    edge = play.ends[0]
    answers = [edge.replies(asked(play, nth)) for nth in range(7)]
    assert [answer[0].status for answer in answers] == [200, 200, 200, 404, 204, 302, 200]
    assert [len(edge.body(asked(play, nth))) for nth in range(7)] == [5, 0, 14, 4, 0, 0, 9_000]
    assert all(answer[-1] == End() for answer in answers)
    assert [value for name, value in answers[0][0].headers if name == b"Set-Cookie"] == [
        b"a=1",
        b"b=2; Path=/",
    ]


@shown("answers", over="quic")
def test_the_answer_begins_as_the_request(play: Replay) -> None:
    """An answer begins with the signature and the version of a request; the status is written in decimals."""
    assert stream(play, asked(play, 0)).startswith(Signature.DATA.value + b"01")
    metadata = {each.key: each.val for each in response(play, asked(play, 0)).metadata}
    assert metadata[b"HttpStatus"] == b"200"
    assert metadata[b"HttpHeader:X-Origin"] == b"here"


@shown("pieces")
def test_pieces_come_as_the_origin_sends_them(play: Replay) -> None:
    """Answers of a length that is not told, and events, are handed on as they come."""
    for nth, pieces in enumerate(([b"one,", b"two"], [b"data: 0\n\n", b"data: 1\n\n"])):
        replies = play.ends[0].replies(asked(play, nth))
        assert [each.data for each in replies if isinstance(each, Body)] == pieces


@shown("trailers")
def test_trailers(play: Replay) -> None:
    """Trailers are trailers over HTTP/2, in lower case; over QUIC there are none."""
    end = play.ends[0].replies(asked(play, 0))[-1]
    if play.transport == "quic":
        assert end == End()
    else:
        assert end == End(((b"X-Checksum", b"4"),))
        assert headers(play)[asked(play, 0)][1] == [(b"x-checksum", b"4")]


# --- requests


@shown("answers")
def test_what_is_added_on_the_way_to_the_origin(play: Replay) -> None:
    """To each request it adds its id, Connection, and for all but HEAD that it takes gzip."""
    wish = play.ends[0].told[0].what.wish
    assert {saw.header("cf-warp-tag-id") for saw in play.saw} == {wish.connector}
    assert {saw.header("connection") for saw in play.saw} == {"keep-alive"}
    assert {saw.header("accept-encoding") for saw in play.saw if "HEAD" not in saw.line} == {"gzip"}
    assert {saw.header("host") for saw in play.saw} == {"app.example"}


@shown("answers")
def test_no_body(play: Replay) -> None:
    """A GET goes on without any word of a body."""
    assert play.saw[0].line == "GET /?a=b HTTP/1.1"
    assert play.saw[0].header("transfer-encoding") is play.saw[0].header("content-length") is None


@shown("bodies")
def test_bodies(play: Replay) -> None:
    """A length that is told goes on, a body of another is chunked; where there is none, that is empty over HTTP/2, and 0 long over QUIC."""
    told, untold, none = play.saw
    assert (told.header("content-length"), b64decode(told.body)) == ("5", b"hello")
    assert (untold.header("transfer-encoding"), b64decode(untold.body)) == ("chunked", b"hello")
    assert none.body == ""
    if play.transport == "http2":
        assert none.header("transfer-encoding") == "chunked"
    else:
        assert none.header("content-length") == "0"


@shown("untold_length", over="quic")
def test_a_body_that_nobody_tells_of(play: Replay) -> None:
    """A body without a length that does not say that it is chunked is dropped."""
    (saw,) = play.saw
    assert (saw.line, saw.header("content-length"), saw.body) == ("POST / HTTP/1.1", "0", "")


@shown("unknown_kind", over="http2")
def test_an_unknown_mark(play: Replay) -> None:
    """A request with a mark of another kind is one of HTTP; the mark is not handed on."""
    assert play.ends[0].replies(asked(play, 0))[0].status == 200
    assert [name for name, _ in play.saw[0].headers] == [
        "Host",
        "Cf-Warp-Tag-Id",
        "Connection",
        "Accept-Encoding",
    ]


@shown("beginnings", over="quic")
def test_beginnings(play: Replay) -> None:
    """The version is not looked at; a header's name with a colon is an error in words; another signature breaks off the stream with 0 both ways."""
    edge = play.ends[0]
    version, colon, signature, good = (asked(play, nth) for nth in range(4))
    assert edge.replies(version)[0].status == edge.replies(good)[0].status == 200
    assert edge.replies(colon)[0] == Refused("header Key: HttpHeader:A:B malformed")
    assert edge.replies(signature)[-1] == Broken("broken off by the connector")
    assert Reset(0, signature, 0) in play.turns
    assert Stopped(0, signature, 0) in play.turns


@shown("management")
def test_the_connectors_own_host(play: Replay) -> None:
    """One host it answers itself, and refuses who has no token."""
    answered, body, end = play.ends[0].replies(asked(play, 0))
    assert answered == Answered(400, ((b"Content-Type", b"application/json"),))
    assert b'"code":1001' in body.data
    assert end == End()
    assert not play.saw


# --- bytes both ways


@shown("websockets")
def test_a_switch_of_protocols(play: Replay) -> None:
    """It is 200 over HTTP/2 and 101 over QUIC, with the origin's headers of the switch; then bytes go both ways as they are."""
    edge = play.ends[0]
    switched = edge.replies(asked(play, 0))[0]
    assert switched.status == 101
    assert {name for name, _ in switched.headers} == {b"Upgrade", b"Connection", b"Sec-Websocket-Accept"}
    assert edge.body(asked(play, 0)) == b"\x81\x02hi\x88\x00"
    if play.transport == "http2":
        assert headers(play)[asked(play, 0)][0][0] == (b":status", b"200")
    assert edge.replies(asked(play, 1))[0].status == 403


@shown("websockets")
def test_what_the_origin_of_a_websocket_is_asked(play: Replay) -> None:
    """The connector makes the upgrade of HTTP/1.1, with the edge's key."""
    saw = play.saw[0]
    assert (saw.header("upgrade"), saw.header("connection")) == ("websocket", "Upgrade")
    assert saw.header("sec-websocket-key") == "dGhlIHNhbXBsZSBub25jZQ=="


@shown("connections")
def test_tcp(play: Replay) -> None:
    """It is acknowledged without a word, then bytes go both ways as they are; nobody there, or a name for an address, is an error."""
    edge = play.ends[0]
    there, nobody, name = (asked(play, nth) for nth in range(3))
    assert edge.replies(there) == [Answered(200), Body(b"over and out"), End()]
    for refused in (nobody, name):
        assert [type(each) for each in edge.replies(refused) if each != Unwanted()] == [Refused]
    if play.transport == "http2":
        told = dict(headers(play)[there][0])
        assert (told[b":status"], told[USER_HEADERS]) == (b"200", b"")
    else:
        assert response(play, there) == ConnectResponse()


# --- errors


@shown("nobody")
def test_no_origin(play: Replay) -> None:
    """An origin that cannot be reached, or closes before it answers: 502 of the connector over HTTP/2, a text and no status over QUIC."""
    for nth in range(2):
        number = asked(play, nth)
        replies = [each for each in play.ends[0].replies(number) if each != Unwanted()]
        assert [type(each) for each in replies] == [Refused]
        if play.transport == "http2":
            told = dict(headers(play)[number][0])
            assert (told[b":status"], told[META]) == (b"502", b'{"src":"cloudflared"}')
            assert USER_HEADERS not in told
        else:
            assert response(play, number).error.startswith("Unable to reach the origin service.")
            assert response(play, number).metadata == ()


@shown("breaks")
def test_an_origin_that_breaks_off(play: Replay) -> None:
    """The stream is broken off, with 2 over HTTP/2 and 0 over QUIC, perhaps before anything of the answer has come."""
    edge = play.ends[0]
    later, soon = asked(play, 0), asked(play, 1)
    assert isinstance(edge.replies(later)[0], Answered)
    assert edge.body(later) == b"some"
    if play.transport == "http2":
        assert [frame.error_code for frame in frames(play) if isinstance(frame, RstStreamFrame)] == [2, 2]
        assert edge.replies(soon) == [Broken("broken off by the connector (INTERNAL_ERROR)")]
    else:
        assert [turn for turn in play.turns if isinstance(turn, Reset)] == [
            Reset(0, later, 0),
            Reset(0, soon, 0),
        ]


@shown("early")
def test_an_answer_before_the_end_of_the_request(play: Replay) -> None:
    """It ends whole; the rest of the request is refused without an error, by a reset with 0 over HTTP/2, by STOP_SENDING with 0 over QUIC."""
    edge, number = play.ends[0], asked(play, 0)
    assert edge.body(number) == b"quick"
    assert edge.replies(number)[-1] == End()
    if play.transport == "http2":
        *_, data, reset = frames(play, number)
        assert isinstance(data, DataFrame)
        assert "END_STREAM" in data.flags
        assert isinstance(reset, RstStreamFrame)
        assert reset.error_code == 0
    else:
        assert Stopped(0, number, 0) in play.turns


@shown("given_up")
def test_a_request_that_is_given_up(play: Replay) -> None:
    """The connector lets go of the origin, and the connection goes on."""
    assert play.saw[0].line == "GET /waits HTTP/1.1"
    assert play.ends[0].body(asked(play, 1)) == b"hello"
    assert play.notes["logged canceled by remote with error code 0"] is (play.transport == "quic")
