"""Bodies that do not come: they hold nobody but who sends them."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from tests.api.conftest import Server
from tests.api.test_wire import told

pytestmark = pytest.mark.parametrize("server", ["sqlite"], indirect=True)

LENGTH = "Content-Length: 900"
CHUNKED = "Transfer-Encoding: chunked"


def posting(server: Server, length: str, token: str = "sensor") -> socket.socket:
    """A connection on which the headers of a POST have been sent."""
    opened = socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=30)
    bearer = f"Authorization: Bearer {server.tokens[token]}\r\n" if token else ""
    opened.sendall(
        f"POST /client/v4/echo HTTP/1.1\r\nHost: a\r\n{bearer}Connection: close\r\n{length}\r\n\r\n".encode()
    )
    return opened


def answer(opened: socket.socket) -> httpx.Response:
    """What the server sends until it closes."""
    found = b""
    while part := opened.recv(65536):
        found += part
    head, _, body = found.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers: Any = [tuple(line.split(": ", 1)) for line in lines]
    return httpx.Response(int(status.split()[1]), headers=headers, content=body)


@pytest.mark.parametrize("begun", [b"", b"abc"])
@pytest.mark.parametrize("length", [LENGTH, CHUNKED])
def test_a_body_that_stops_is_given_up(server: Server, length: str, begun: bytes) -> None:
    sent = b"3\r\n" + begun + b"\r\n" if begun and length == CHUNKED else begun
    with posting(server, length) as opened:
        opened.sendall(sent)
        (error,) = told(answer(opened), 408, 2001)
    assert error["message"] == "body: not there within 1 s and 1 s for each 100 bytes of it"


def test_a_body_that_drips_is_given_up_while_it_still_comes(server: Server) -> None:
    with posting(server, LENGTH) as opened:
        opened.settimeout(0.05)
        for _ in range(300):
            opened.sendall(b"a")
            try:
                opened.recv(1, socket.MSG_PEEK)
                break
            except TimeoutError:
                continue
        opened.settimeout(30)
        told(answer(opened), 408, 2001)


def test_a_body_that_comes_slowly_but_comes_is_taken(server: Server) -> None:
    with posting(server, LENGTH) as opened:
        opened.sendall(b"a" * 800)
        time.sleep(1.2)  # more than the second it has in any case
        opened.sendall(b"a" * 100)
        assert answer(opened).status_code == 200


def test_who_may_not_send_is_told_before_the_body(server: Server) -> None:
    with posting(server, LENGTH, token="") as opened:
        told(answer(opened), 400, 9106)
    with posting(server, LENGTH, token="radar") as opened:
        told(answer(opened), 403, 10000)
    with posting(server, "Content-Length: 1001") as opened:
        told(answer(opened), 413, 2001)


@pytest.fixture
def sensors(server: Server) -> Iterator[list[str]]:
    """As many sensors, each with a token of its own."""
    names = [f"slow-{number}" for number in range(50)]
    for name in names:
        server.tokens[name], _ = server.accounts.create_token(["sensor:write"], sensor=name)
    yield names
    for name in names:
        del server.tokens[name]


def test_slow_ones_keep_nobody_out(server: Server, sensors: list[str]) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(posting(server, LENGTH, name)) for name in sensors]
        for _ in range(10):
            assert server.get("/accounts").status_code == 200
        assert server.ask("POST", "/echo", "sensor", content=b"a").status_code == 200
        for each in slow:
            told(answer(each), 408, 2001)


def test_long_bodies_come_one_at_a_time_from_each(server: Server, sensors: list[str]) -> None:
    asking = f"Expect: 100-continue\r\n{LENGTH}"
    with posting(server, asking, sensors[0]) as first:
        assert first.recv(100).startswith(b"HTTP/1.1 100 ")  # it is read
        with posting(server, asking, sensors[0]) as second:
            assert server.ask("POST", "/echo", sensors[1], content=b"a").status_code == 200
            second.setblocking(False)
            with pytest.raises(BlockingIOError):
                second.recv(100)
            told(answer(first), 408, 2001)
            second.settimeout(30)
            assert second.recv(100).startswith(b"HTTP/1.1 100 ")
            second.sendall(b"a" * 900)
            assert answer(second).status_code == 200


def test_one_who_leaves_in_the_middle_leaves_nothing(server: Server, sensors: list[str]) -> None:
    before = len(server.log.read_text())
    for _ in range(5):
        with posting(server, LENGTH, sensors[0]) as opened:
            opened.sendall(b"abc")
    end = time.monotonic() + 20
    while (found := server.ask("POST", "/echo", sensors[0], content=b"a")).status_code != 200:
        assert time.monotonic() < end, found.text
    assert "Traceback" not in server.log.read_text()[before:]
