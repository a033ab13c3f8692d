"""What the sensor does for each answer of docs/sensors.md, from a server that says what it is told to."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest

from halfopen.sensor.delivery import Delivery
from halfopen.sensor.remote import Remote
from halfopen.sensor.spool import Spool
from tests.sensor.conftest import until
from tests.sensor.rows import connections
from tests.store.rows import BEGIN

Log = pytest.LogCaptureFixture


@dataclass
class Script:
    """What is answered, one after the other (then 200s), and what was asked: incarnation, sequence, time, bytes."""

    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    asked: list[tuple[str, int, float, bytes]] = field(default_factory=list)
    url: str = ""

    def sequences(self) -> list[int]:
        return [each[1] for each in self.asked]

    def incarnations(self) -> int:
        return len({each[0] for each in self.asked})


def held(expected: int) -> tuple[int, dict[str, str], bytes]:
    return 200, {}, json.dumps({"result": {"held": True, "taken": True, "expected": expected}}).encode()


@pytest.fixture
def script() -> Iterator[Script]:
    made = Script()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            asked = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            sequence = int(asked["sequence"])
            made.asked.append((asked["incarnation"], sequence, time.monotonic(), body))
            status, headers, content = made.answers.pop(0) if made.answers else held(sequence + 1)
            self.send_response(status)
            for name, value in (headers | {"content-length": str(len(content))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_address[1]}"
    Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield made
    server.shutdown()
    server.server_close()


@contextmanager
def delivered(script: Script, tmp_path: Path, batches: int = 2) -> Iterator[tuple[Spool, Delivery]]:
    """A spool of some batches that goes to the script's server; it is empty in the end."""
    token = tmp_path / "token"
    token.touch(0o600)
    token.write_text("x" * 40)
    with closing(Spool(tmp_path / "web-1")) as spool, closing(Remote(script.url, token, "web-1")) as remote:
        for number in range(batches):
            assert spool.put(connections([number], BEGIN), BEGIN + 1, since=None if number else BEGIN)
        with closing(Delivery(spool, remote, first_wait=0.01, longest_wait=0.1)) as delivery:
            yield spool, delivery
            until(lambda: not spool.waits)
            assert spool.delivered == batches


@pytest.mark.parametrize(
    ("status", "content"),
    [
        (400, b'{"errors": [{"code": 1001, "message": "column gap: a value"}]}'),
        (403, b""),
        (404, b"<html>"),
        (408, b""),
        (302, b""),
        (413, b""),
        (429, b""),
        (500, b"{}"),
        (503, b'{"errors": null}'),
        (200, b"<html>hello</html>"),
        (200, b'{"result": {"held": false}}'),
        (200, b'{"result": []}'),
        (409, b"without a header"),
    ],
)
def test_the_same_is_sent_again(
    script: Script, tmp_path: Path, caplog: Log, status: int, content: bytes
) -> None:
    caplog.set_level(logging.INFO, "halfopen.sensor")
    script.answers += [(status, {}, content)] * 3
    with delivered(script, tmp_path):
        pass
    assert script.sequences() == [1, 1, 1, 1, 2]
    assert len({each[3] for each in script.asked[:4]}) == 1
    assert script.incarnations() == 1
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"], (
        "told once, and once that it is over"
    )


def test_what_was_put_while_the_clock_was_ahead_does_not_hold_up_what_is_behind(
    script: Script, tmp_path: Path, caplog: Log
) -> None:
    """The server takes no time to come, and the clock was put right: a gap takes its place, and it is kept for people."""
    ahead = int(time.time()) + 7200
    script.answers += [(400, {}, b""), held(2), (400, {}, b"")]
    with closing(Spool(tmp_path / "web-1")) as spool:
        for number, watermark in enumerate((ahead, ahead + 1)):
            assert spool.put(connections([number], watermark), watermark, since=None if number else watermark)
    with closing(Spool(tmp_path / "web-1")) as spool:
        assert spool.first().watermark == ahead  # type: ignore[union-attr]
    with delivered(script, tmp_path, 2) as (spool, _):
        until(lambda: len(script.asked) == 6)
        assert (spool.damaged, spool.delivered) == (2, 2)
    assert script.sequences() == [1, 1, 2, 2, 3, 4]
    assert "of a time to come" in caplog.text
    assert len([*(tmp_path / "web-1").glob("*.damaged")]) == 2


def test_it_waits_as_long_as_it_is_asked_to(script: Script, tmp_path: Path) -> None:
    script.answers.append((503, {"retry-after": "1"}, b""))
    with delivered(script, tmp_path):
        pass
    assert script.asked[1][2] - script.asked[0][2] >= 1


def test_a_server_that_lost_what_it_had(script: Script, tmp_path: Path, caplog: Log) -> None:
    script.answers += [held(2), (409, {"halfopen-expected-sequence": "1"}, b"")]
    with delivered(script, tmp_path, 3):
        pass
    assert script.sequences() == [1, 2, 1, 2]
    assert script.incarnations() == 2
    assert "a new incarnation begins" in caplog.text


def test_a_server_that_never_knows_what_it_expects(script: Script, tmp_path: Path, caplog: Log) -> None:
    script.answers += [(409, {"halfopen-expected-sequence": "7"}, b"")] * 4
    with delivered(script, tmp_path, 1):
        pass
    assert script.incarnations() == 1


def test_a_spool_that_was_copied(script: Script, tmp_path: Path, caplog: Log) -> None:
    script.answers.append(held(9))
    with delivered(script, tmp_path, 3):
        pass
    assert script.sequences() == [1, 1, 2]
    assert script.incarnations() == 2
    assert "was it copied?" in caplog.text


def test_the_status_says_since_when_it_does_not_go_well(script: Script, tmp_path: Path) -> None:
    script.answers += [(403, {}, b'{"errors": [{"code": 10000, "message": "Authentication error"}]}')] * 3
    with delivered(script, tmp_path) as (spool, delivery):
        until(lambda: bool(script.asked) and "403" in delivery.status)
        assert "says no: 403 Authentication error; 2 batches wait" in delivery.status
        until(lambda: not spool.waits)
        until(lambda: delivery.status == f"delivering to {script.url}/client/v4")
