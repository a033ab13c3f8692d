"""From the spool into a real dataset, over HTTP and on this machine: everything once, whatever happens on the way."""

from __future__ import annotations

import logging
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest

from halfopen.errors import SpoolError, UsageError
from halfopen.sensor.delivery import Delivery
from halfopen.sensor.local import Local
from halfopen.sensor.receiver import Receiver
from halfopen.sensor.remote import Remote
from halfopen.sensor.spool import Spool
from tests.house.project import ROOT
from tests.sensor.conftest import Machine, numbers_in, until
from tests.sensor.rows import connections

Log = pytest.LogCaptureFixture


@contextmanager
def delivering(spool: Spool, receiver: Receiver) -> Iterator[Delivery]:
    delivery = Delivery(spool, receiver, first_wait=0.02, longest_wait=0.2)
    try:
        yield delivery
    finally:
        delivery.close()
        receiver.close()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "sensors" / "web-1")
    yield made
    made.close()


def put(spool: Spool, *numbers: int, since: int | None = None) -> None:
    now = int(time.time())
    assert spool.put(connections(numbers, now - 60), now, since=since)


def test_a_server_goes_and_comes_back_and_loses_its_dataset(
    machine: Machine, spool: Spool, caplog: Log
) -> None:
    caplog.set_level(logging.INFO, "halfopen.sensor")
    machine.start()
    with delivering(spool, machine.remote()) as delivery:
        put(spool, 1, 2, 3, since=int(time.time()) - 60)
        put(spool, 4)
        put(spool)
        until(lambda: not spool.waits)
        assert delivery.status == f"delivering to {machine.url}/client/v4"
        assert machine.numbers() == [1, 2, 3, 4]
        machine.kill()
        for number in range(5, 9):
            put(spool, number)
        until(lambda: "nobody answers" in delivery.status)
        assert delivery.status.startswith("since 20")
        time.sleep(0.5)
        assert spool.waits == 4
        machine.start()
        until(lambda: not spool.waits)
        assert machine.numbers() == [1, 2, 3, 4, 5, 6, 7, 8]
        said = [record.message for record in caplog.records]
        assert [("nobody answers" in each, "delivering again" in each) for each in said] == [
            (True, False), (False, True),
        ]  # fmt: skip
        machine.kill()
        machine.lose()
        put(spool, 9, 10)
        put(spool, 11)
        machine.start()
        until(lambda: not spool.waits)
        assert machine.numbers() == [9, 10, 11]
        assert spool.next == 3
        assert "a new incarnation begins" in caplog.text
    assert (spool.delivered, spool.spooled, spool.lost) == (11, 11, 0)


def test_a_token_that_is_refused_is_read_anew(machine: Machine, spool: Spool, caplog: Log) -> None:
    machine.start()
    with delivering(spool, machine.remote("web-2")) as delivery:
        put(spool, 1)
        until(lambda: "says no: 403 Authentication error" in delivery.status)
        machine.tell("web-2", machine.token("web-1").read_text().strip())
        until(lambda: not spool.waits)
    assert machine.numbers() == [1]
    assert caplog.text.count("says no") == 1


@contextmanager
def proxy(to: str, most: int) -> Iterator[str]:
    """A proxy that lets no larger bodies through, as nginx does by default."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status, content = 413, b"<html>too large</html>"
            if len(body) <= most:
                headers = {"authorization": self.headers["authorization"]}
                answer = httpx.post(to + self.path, content=body, headers=headers, timeout=60)
                status, content = answer.status_code, answer.content
            self.send_response(status)
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def test_what_is_too_large_goes_in_pieces(machine: Machine, spool: Spool) -> None:
    machine.start()
    numbers = range(1, 2001)
    put(spool, *numbers[:900], since=int(time.time()) - 100)
    put(spool, *numbers[900:1900])
    put(spool, *numbers[1900:])
    with (
        proxy(machine.url, 50_000) as between,
        delivering(spool, Remote(f"{between}/", machine.token(), "web-1")),
    ):
        until(lambda: not spool.waits, 40)
    assert machine.numbers() == list(numbers)
    assert spool.next > 4


def test_the_dataset_of_this_machine(tmp_path: Path, spool: Spool) -> None:
    store = tmp_path / "store"
    for turn in range(2):
        with delivering(spool, Local(store, "web-1")):
            for number in range(5):
                put(spool, 10 * turn + number, since=int(time.time()) if not number else None)
            until(lambda: not spool.waits, 60)
    assert numbers_in(store) == [0, 1, 2, 3, 4, 10, 11, 12, 13, 14]


def test_killed_at_any_moment_nothing_acknowledged_is_lost_or_doubled(
    machine: Machine, tmp_path: Path
) -> None:
    machine.start()
    directory, chance = tmp_path / "spool", random.Random(1)
    acknowledged: list[int] = []
    for turn in range(4):
        first = 1000 * (turn + 1)
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.sensor.delivering", directory, machine.url, machine.token(), str(first)],
            cwd=ROOT, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        time.sleep(chance.random() * 0.6)
        process.kill()
        with process.stdout:
            lines += process.stdout.readlines()
        process.wait()
        acknowledged += [int(line) for line in lines if line.endswith("\n")]
    spool = Spool(directory)
    with delivering(spool, machine.remote()):
        until(lambda: not spool.waits, 60)
    spool.close()
    found = machine.numbers()
    assert len(found) == len(set(found))
    assert set(acknowledged) <= set(found)
    # The one that was on the disk when its process died before it could say so.
    assert len(found) <= len(acknowledged) + 4


def test_the_end_waits_for_what_can_be_delivered_and_not_for_more(machine: Machine, spool: Spool) -> None:
    put(spool, 1)
    begun = time.monotonic()
    with closing(machine.remote()) as remote:
        Delivery(spool, remote).close()
    assert spool.waits == 1
    assert time.monotonic() - begun < 5
    machine.start()
    for number in range(2, 9):
        put(spool, number)
    with closing(machine.remote()) as remote:
        Delivery(spool, remote).close(30)
    assert machine.numbers() == list(range(1, 9))


@pytest.mark.parametrize(
    "url",
    [
        "", "radar.example", "ftp://radar.example", "https://", "https://a:b@c", "http://a?b", "http://a:x", "http://a#",
        "http://a b", "http://a..b", "http://xn--/", "http://a\x01", "http://a/\t", f"http://{'a' * 64}",
    ],
)  # fmt: skip
def test_an_address_that_is_none(tmp_path: Path, url: str) -> None:
    with pytest.raises(UsageError, match="--to"):
        Remote(url, tmp_path / "token", "web-1")


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "http://[::1"])
def test_a_proxy_that_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, proxy: str) -> None:
    (tmp_path / "token").write_text("x")
    monkeypatch.setenv("https_proxy", proxy)
    with pytest.raises(UsageError, match="HTTPS_PROXY"):
        Remote("https://radar.example", tmp_path / "token", "web-1")


@pytest.mark.parametrize("content", [None, b"", b"two words", b"\xff", b"a\nb"])
def test_a_token_that_is_none(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with pytest.raises(UsageError, match="--token-file"):
        Remote("https://radar.example", tmp_path / "token", "web-1")


def test_what_others_can_see_is_warned_of(tmp_path: Path, caplog: Log) -> None:
    token = tmp_path / "token"
    token.touch(0o644)
    token.write_text("x" * 40)
    Remote("http://[::1]:1/client/v4/", token, "web-1").close()
    assert "not encrypted" not in caplog.text
    assert "chmod 600" in caplog.text
    token.chmod(0o600)
    caplog.clear()
    Remote("https://radar.example", token, "web-1").close()
    assert not caplog.text
    Remote("http://radar.example", token, "web-1").close()
    assert "http://radar.example/client/v4 is not encrypted" in caplog.text


def test_a_spool_is_used_by_one_process(tmp_path: Path, spool: Spool) -> None:
    with pytest.raises(SpoolError, match="another process uses this spool"):
        Spool(spool.directory)
    (tmp_path / "file").touch()
    with pytest.raises(SpoolError, match="Not a directory"):
        Spool(tmp_path / "file" / "web-1")
