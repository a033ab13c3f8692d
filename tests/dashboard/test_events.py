"""What pages are told while they are open."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import anyio
import httpx
import pytest

from halfopen.dashboard import events
from tests.api.conftest import wait_for
from tests.cli.conftest import capture_bytes, command
from tests.dashboard.site import PATIENCE, Site, Visitor, wait

STOP = 4.0
"""Less than the seconds (server/process.py) after which a server that does not end is ended."""


class Heard:
    """The events of one page."""

    def __init__(self, answer: httpx.Response) -> None:
        self.names: list[str] = []
        self.ended = False
        self._answer = answer
        self._thread = Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        try:
            for line in self._answer.iter_lines():
                if line.startswith("event: "):
                    self.names.append(line.removeprefix("event: "))
            self.ended = True
        except (httpx.HTTPError, httpx.StreamError):
            pass  # broken off, by one side or the other

    def wait(self) -> bool:
        """Whether it came to its end."""
        self._thread.join(PATIENCE)
        return self.ended

    def leave(self) -> None:
        """Close the connection: a close alone would wait for the thread that reads."""
        with suppress(OSError):
            self._answer.extensions["network_stream"].get_extra_info("socket").shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)


@contextmanager
def listening(visitor: Visitor) -> Iterator[Heard]:
    with visitor.client.stream("GET", "/events", headers={"accept": "text/event-stream"}) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        heard = Heard(answer)
        try:
            yield heard
        finally:
            heard.leave()


def test_a_page_hears_of_what_has_changed(site: Site, visitor: Visitor, tmp_path: Path) -> None:
    token, _ = site.token()
    capture = tmp_path / "more.pcap"
    capture.write_bytes(capture_bytes(3))
    with listening(visitor) as one, listening(visitor) as other:
        time.sleep(2 * events._PAUSE)  # until it has looked
        assert one.names == []
        answer = httpx.post(
            f"{site.url}/client/v4/accounts/{site.account()}/cfd_tunnel",
            json={"name": "heard", "config_src": "cloudflare"},
            headers={"authorization": f"Bearer {token}"},
        )
        assert answer.status_code == 200, answer.text
        wait(lambda: "tunnels" in one.names and "tunnels" in other.names, "news of the tunnel")
        assert "dataset" not in one.names
        site.ingest(capture)
        wait(lambda: "dataset" in one.names and "dataset" in other.names, "news of the connections")


def test_there_are_only_so_many_and_who_leaves_makes_room(site: Site, visitor: Visitor) -> None:
    where = urlsplit(site.url)
    cookie = visitor.client.cookies["halfopen"]
    asked = f"GET /events HTTP/1.1\r\nhost: {where.netloc}\r\ncookie: halfopen={cookie}\r\n\r\n".encode()

    def status(stack: ExitStack) -> int:
        link = stack.enter_context(socket.create_connection((where.hostname, where.port), timeout=PATIENCE))
        link.sendall(asked)
        found = int(link.recv(12).split()[1])
        if found != 429:
            return found
        time.sleep(0.1)  # all of them come from one address
        return status(stack)

    with ExitStack() as stack:
        for _ in range(events._MOST):
            assert status(stack) == 200
        with ExitStack() as late:
            assert status(late) == 503
            assert visitor.get("/connections").status_code == 200  # pages are answered still

    def room() -> bool:
        with ExitStack() as again:
            return status(again) == 200

    wait(room, "room")


def test_a_server_stops_while_pages_listen(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data, url = tmp_path / "data", f"http://127.0.0.1:{port}"
    data.mkdir(mode=0o700)
    log = tmp_path / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command("serve", "--data", data, "--port", port), stdout=stream, stderr=stream
        )
    try:
        wait_for(url, process, log)
        site = Site(url, data, "")
        with site.visitor(site.token()[0]) as visitor, listening(visitor) as heard:
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
            took = time.monotonic() - began
            assert heard.wait(), "the answer broke off"
            assert took < STOP
    finally:
        process.kill()
        process.wait()
    assert "Traceback" not in log.read_text()


def test_one_that_cannot_be_looked_at_keeps_nothing_from_the_others(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_PAUSE", 0.01)
    turns = iter(range(1000))

    async def broken() -> str:
        raise OSError("no such disk")

    async def moving() -> str:
        return str(next(turns))

    async def listen() -> list[str]:
        made = events.Events({"broken": broken, "moving": moving})
        heard = made._stream()
        told = [await anext(heard) for _ in range(4)]
        made.end()
        return [*told, *[each async for each in heard]]

    told = anyio.run(listen)
    assert told[:4] == ["retry: 3000\n\n", *["event: moving\ndata: changed\n\n"] * 3]
    assert len(told) <= 5
    assert [record.getMessage() for record in caplog.records] == [
        "what pages are told of broken: no such disk"
    ]
