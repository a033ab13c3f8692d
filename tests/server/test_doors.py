"""`halfopen serve` and those who do not behave, or come by a proxy: over real sockets."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from halfopen.radar.annotations import Annotation
from halfopen.radar.notes import Notes
from tests.radar.memory import at
from tests.server.conftest import Served, serving
from tests.server.test_upkeep import until

LIST = "/client/v4/radar/annotations"
VISITOR = "203.0.113.9"
TOLD = {"X-Forwarded-For": VISITOR, "X-Forwarded-Proto": "https", "X-Forwarded-Host": "radar.example"}

IMPATIENT = "import sys; from halfopen.cli import main, serve; serve.HEADERS_WITHIN = 1; sys.exit(main.main(sys.argv[1:]))"
"""The command, but headers have a second to come."""


def command(data: Path, *words: str) -> tuple[str, ...]:
    data.mkdir(mode=0o700)
    return *words, "--data", str(data), "--port", "PORT"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server as it is by default."""
    data = tmp_path_factory.mktemp("plain") / "data"
    with serving(data, *command(data, "-m", "halfopen", "serve")) as found:
        yield found


@pytest.fixture(scope="module")
def impatient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    data = tmp_path_factory.mktemp("impatient") / "data"
    with serving(data, *command(data, "-c", IMPATIENT, "serve")) as found:
        yield found


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that believes the proxies of three networks, given in two ways."""
    data = tmp_path_factory.mktemp("behind") / "data"
    words = ("--trusted-proxy", "192.0.2.0/24,2001:db8::/32", "--trusted-proxy", "127.0.0.1")
    with serving(data, *command(data, "-m", "halfopen", "serve"), *words) as found:
        yield found


def connected(server: Served, sent: bytes = b"") -> socket.socket:
    opened = socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), timeout=30)
    opened.sendall(sent)
    return opened


def ends(opened: socket.socket) -> bytes:
    """All that comes until the server closes; TimeoutError if it never does."""
    found = b""
    while part := opened.recv(65536):
        found += part
    return found


def test_nobody_keeps_a_connection_without_asking(impatient: Served) -> None:
    begun = b"GET /healthz HTTP/1.1\r\nHost: a\r\n"
    with ExitStack() as stack:
        silent, halfway, done, other_version = (
            stack.enter_context(connected(impatient, sent))
            for sent in (b"", begun, begun + b"\r\n", b"PRI * HTTP/2.0\r\n\r\n")
        )
        assert ends(silent) == b""
        assert ends(halfway) == b""
        assert ends(done).startswith(b"HTTP/1.1 200 ")
        assert b"200" not in ends(other_version)


def test_a_header_that_never_ends_is_cut(impatient: Served) -> None:
    with connected(impatient, b"GET /healthz HTTP/1.1\r\nHost: a\r\n") as dripping:

        def drip() -> None:
            end = time.monotonic() + 30
            while time.monotonic() < end:
                dripping.sendall(b"X-A: b\r\n")
                time.sleep(0.1)

        with pytest.raises(ConnectionError):
            drip()
    assert impatient.get("/healthz").status_code == 200


def test_many_of_them_keep_nobody_else_out(plain: Served) -> None:
    with ExitStack() as stack:
        for _ in range(300):
            stack.enter_context(connected(plain, b"GET /client/v4/accounts HTTP/1.1\r\nX"))
        assert plain.get("/client/v4/user/tokens/verify").status_code == 200


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: a", b"414"),
        (b"GET / HTTP/1.1" + b"".join(b"\r\nX-%d: 1" % number for number in range(200)), b"431"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x", b"400"),
        (b"GET /\xff HTTP/1.1\r\nHost: a", b"400"),
        (b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03", b"400"),
    ],
    ids=["URL", "headers", "length", "path", "TLS"],
)
def test_what_is_no_request_gets_a_status_and_no_more(plain: Served, head: bytes, status: bytes) -> None:
    with connected(plain, head + b"\r\n\r\n") as opened:
        answer = ends(opened)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert answer.endswith(b"\r\n\r\n")
    assert plain.get("/healthz").status_code == 200


def test_what_is_too_much_is_told_in_the_envelope(plain: Served) -> None:
    for path, headers, status in (
        (f"{LIST}?a={'b' * 20_000}", {}, 414),
        (f"{LIST}?{'a&' * 600}", {}, 414),
        (LIST, {"X-Long": "a" * 40_000}, 431),
    ):
        token = {"Authorization": f"Bearer {plain.token}"}
        answer = httpx.get(plain.url + path, headers=headers | token)
        assert answer.status_code == status
        assert answer.json()["success"] is False
        assert "more than" in answer.json()["errors"][0]["message"]


def test_every_answer_tells_what_is_granted(plain: Served) -> None:
    policy = plain.get(LIST).headers["ratelimit-policy"]
    assert policy == '"default";q=1200;w=300'
    assert httpx.get(plain.url + LIST).headers["ratelimit-policy"] == '"address";q=200;w=1'


def asked(server: Served, **headers: str) -> tuple[str, str]:
    """What an answer links to, and the address in the log, of a client that sends these headers."""
    Notes(server.store.parent).add(Annotation("Cut", at("2026-08-10"), at("2026-08-11")))
    token = {"Authorization": f"Bearer {server.token}"}
    answer = httpx.get(server.url + LIST, headers=headers | token)
    linked = answer.json()["result"]["annotations"][0]["linkedUrl"]
    identifier = answer.headers["x-request-id"]
    assert until(lambda: identifier in server.log.read_text())
    (line,) = [each for each in server.log.read_text().splitlines() if identifier in each]
    return linked, json.loads(line)["address"]


def test_nobody_is_believed_by_default(plain: Served) -> None:
    found = asked(plain, **TOLD, Forwarded=f"for={VISITOR};proto=https;host=radar.example")
    assert found == (f"{plain.url}/annotations", "127.0.0.1")


def test_a_trusted_proxy_tells_client_scheme_and_host(behind: Served) -> None:
    there = ("https://radar.example/annotations", VISITOR)
    assert asked(behind, **TOLD) == there
    assert asked(behind, Forwarded=f"for=198.51.100.1, for={VISITOR};proto=https;host=radar.example") == there
    assert asked(behind, **TOLD | {"X-Forwarded-For": f"198.51.100.1, {VISITOR}, 192.0.2.7"}) == there
    here = (f"{behind.url}/annotations", "127.0.0.1")
    assert asked(behind) == here
    assert asked(behind, **TOLD, Forwarded="for=198.51.100.1") == here  # one of them is made up


@pytest.mark.parametrize("host", ["a b", "a/b", "a@b", "[::1", "a:x", "<b>"])
def test_a_host_that_cannot_be_one_stands_in_no_answer(behind: Served, host: str) -> None:
    linked, _ = asked(behind, **TOLD | {"X-Forwarded-Host": host})
    assert linked == behind.url.replace("http:", "https:") + "/annotations"
