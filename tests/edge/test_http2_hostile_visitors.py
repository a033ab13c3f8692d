"""Visitors over HTTP/2 that are hostile or not there any more, before a connection that a test plays."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import h2.events
import pytest
from h2.errors import ErrorCodes

from halfopen.edge.visitors import arrival, http2, http2_stream
from halfopen.tunnelwire.exchange import Answered
from tests.edge.playing import USUAL, Client2, Connector, edge, play2, run, until, usual

MIB = 1 << 20


MANY = 12_000


def frame(kind: int, flags: int, stream: int, body: bytes = b"") -> bytes:
    return len(body).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + body


@pytest.mark.parametrize("sent", [
    frame(0x6, 0, 0, bytes(8)) * (MANY), frame(0x4, 0, 0) * (MANY), frame(0xB, 0, 0) * (MANY),
    frame(0x2, 0, 3, bytes(5)) * (MANY), frame(0x8, 0, 0, b"\0\0\0\1") * (MANY),
])  # fmt: skip
def test_frames_that_bring_nothing_are_not_borne_for_ever(sent: bytes) -> None:
    async def scene(connector: Connector, client: Client2) -> None:
        client.send_raw(sent)
        with suppress(ConnectionResetError):  # for what was not read any more
            assert await client.error() == ErrorCodes.ENHANCE_YOUR_CALM

    play2(scene)


def test_crumbs_for_a_request_that_is_answered_end_the_connection_and_hold_up_nobody() -> None:
    async def scene() -> None:
        async with edge() as (connector, _, address):
            flooding, other = [Client2(*await asyncio.open_connection(*address)) for _ in range(2)]
            number = flooding.say(usual(authority=b"nobody.example"), ends=False)
            crumbs = [frame(0x0, 0, number, b"x") * 3_000] * 50
            flood = asyncio.create_task(_pour(flooding, crumbs))
            over = asyncio.create_task(_gone(flooding))
            while not over.done():
                asking = other.ask()
                (await connector.next()).answer(200, [], b"here")
                assert (await other.answer(asking))[1] == b"here"
            flood.cancel()
            for each in (flooding, other):
                each.writer.transport.abort()

    run(scene())


async def _gone(client: Client2) -> None:
    with suppress(ConnectionError):
        await client.gone()


async def _pour(client: Client2, pieces: list[bytes]) -> None:
    with suppress(ConnectionError):
        for piece in pieces:
            client.send_raw(piece)
            await client.writer.drain()


@pytest.mark.parametrize("sent", [
    frame(0x1, 0, 1, b"\x82") + frame(0x9, 0, 1, bytes(60_000)) * 2,  # headers without an end
    frame(0x1, 0, 1, b"\x82") + frame(0x9, 0, 1) * 200, frame(0x0, 0, 1, b"x"), b"\xff" * 100,
    frame(0x1, 4, 1, b"\xff" * 100), frame(0x1, 4, 2, b"\x82"),
])  # fmt: skip
def test_what_is_no_http2_ends_the_connection(sent: bytes) -> None:
    async def scene(connector: Connector, client: Client2) -> None:
        client.send_raw(sent)
        await client.error()
        assert not connector.asked

    play2(scene)


def test_a_visitor_may_acknowledge_every_little_bit() -> None:
    async def scene(connector: Connector, client: Client2) -> None:
        client.reads = False
        number = client.ask()
        asked = await connector.next()
        asked.exchange.reply(Answered(200))
        seen = left = 0
        while seen < 2 * MANY * 4096:
            if asked.resumed == left and asked.exchange.received(bytes(1 << 16)):
                continue
            left = asked.resumed
            await client.read()
            while len(client.bodies.get(number, b"")) >= 4096:
                del client.bodies[number][:4096]
                seen += 4096
                client.h2.increment_flow_control_window(4096)
                client.h2.increment_flow_control_window(4096, number)
            client.flush()

    play2(scene)


def test_requests_that_are_taken_back_at_once_reach_nobody_and_end_the_connection() -> None:
    async def scene(connector: Connector, client: Client2) -> None:
        for _ in range(3 * http2.RESETS):
            number = client.h2.get_next_available_stream_id()
            client.h2.send_headers(number, USUAL, end_stream=True)
            client.h2.reset_stream(number, ErrorCodes.CANCEL)
        client.flush()
        assert await client.error() == ErrorCodes.ENHANCE_YOUR_CALM
        assert len(connector.asked) <= http2.RESETS

    play2(scene)


def test_no_more_streams_than_are_announced() -> None:
    async def scene(connector: Connector, client: Client2) -> None:
        await client.next(h2.events.RemoteSettingsChanged)
        most = client.h2.remote_settings.max_concurrent_streams
        assert most == http2.OF_VISITORS.streams
        for _ in range(most):
            client.ask()
        await until(lambda: len(connector.asked) == most)
        client.h2.remote_settings = type(client.h2.remote_settings)(client=False)  # it does not care
        client.ask()
        await client.error()
        assert len(connector.asked) == most

    play2(scene)


@pytest.mark.parametrize("ends", [True, False])
def test_headers_that_are_too_long_are_answered(ends: bool) -> None:
    async def scene(connector: Connector, client: Client2) -> None:
        number = client.ask(*((b"x-%d" % n, bytes([65 + n]) * 10_000) for n in range(8)), ends=ends)
        assert (await client.answer(number))[0][b":status"] == b"431"
        assert not connector.asked
        client.ask()
        await connector.next()

    play2(scene)


def test_headers_that_are_much_too_long_end_the_connection() -> None:
    async def scene(connector: Connector, client: Client2) -> None:
        client.ask(*((b"x-%d" % n, bytes([65 + n]) * 10_000) for n in range(16)))
        await client.error()
        assert not connector.asked

    play2(scene)


def test_a_table_of_headers_that_is_told_again_and_again_is_not_multiplied() -> None:
    async def scene(connector: Connector, client: Client2) -> None:
        client.ask(*([(b"x", b"y" * 3_000)] * 60))  # 60 bytes on the wire
        await client.error()
        assert not connector.asked

    play2(scene)


# --- patience


def test_an_upload_that_stalls_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http2_stream, "UPLOAD", 0.2)
    monkeypatch.setattr(arrival, "LOOK", 0.05)

    async def scene(connector: Connector, client: Client2) -> None:
        call = client.ask((b"content-type", b"application/grpc+proto"), method=b"POST", ends=False)
        patient = await connector.next()
        number = client.ask(method=b"POST", ends=False)
        asked = await connector.next()
        assert (await client.answer(number))[0][b":status"] == b"408"
        assert asked.cancelled
        assert not patient.cancelled
        client.send(call, b"x")
        await until(lambda: patient.body == b"x")

    play2(scene)


def test_an_answer_that_is_not_taken_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http2_stream, "TAKING", 0.2)
    monkeypatch.setattr(arrival, "LOOK", 0.05)

    async def scene(connector: Connector, client: Client2) -> None:
        client.reads = False
        number = client.ask()
        asked = await connector.next()
        asked.exchange.reply(Answered(200))
        asked.exchange.received(bytes(100_000))
        await client.next(h2.events.StreamReset, number)
        assert asked.cancelled

    play2(scene)


def test_a_connection_without_requests_ends_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http2, "IDLE", 0.2)
    monkeypatch.setattr(arrival, "LOOK", 0.05)

    async def scene(connector: Connector, client: Client2) -> None:
        assert await client.error() == ErrorCodes.NO_ERROR

    play2(scene)


def test_who_begins_with_the_preface_and_goes_no_further_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arrival, "ARRIVAL", 0.2)
    monkeypatch.setattr(arrival, "LOOK", 0.05)

    async def scene() -> None:
        async with edge() as (_, __, address):
            reader, writer = await asyncio.open_connection(*address)
            writer.write(http2.PREFACE[:10])
            assert await reader.read() == b""
            writer.close()

    run(scene())


# --- the end


def test_an_edge_that_ends_lets_requests_end_and_takes_no_others() -> None:
    async def scene() -> None:
        async with edge() as (connector, visitors, address):
            client = Client2(*await asyncio.open_connection(*address))
            number = client.ask()
            asked = await connector.next()
            visitors.finish()
            goaway = await client.next(h2.events.ConnectionTerminated)
            assert (goaway.error_code, goaway.last_stream_id) == (ErrorCodes.NO_ERROR, number)
            asked.answer(200, [(b"Content-Length", b"4")], b"last")
            client.h2.state_machine.state = type(
                client.h2.state_machine.state
            ).CLIENT_OPEN  # which h2 would not let it
            await client.answer(number)
            assert client.bodies[number] == b"last"
            await client.gone()
            client.writer.close()

    run(scene())


def test_a_visitor_that_says_good_bye_gets_what_it_asked_for() -> None:
    async def scene(connector: Connector, client: Client2) -> None:
        client.ask()
        asked = await connector.next()
        client.send_raw(frame(0x7, 0, 0, bytes(8)))
        await asyncio.sleep(0.1)
        asked.answer(200, [], b"last")
        while b"last" not in client.raw:
            client.raw += await client.reader.read(1 << 16)
        assert await client.reader.read() == b""

    play2(scene)
