"""The name in a client's first bytes: the kernel and the reference, which must agree everywhere."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfopen.connections.trigger import FOUND, LIMIT, MORE, NONE, Trigger, find_trigger, read_trigger
from halfopen.jit import kernel
from halfopen.model import Bytes, TriggerKind

NAME = b"www.example.com"


@kernel(np.uint8, int, int, results=4)
def found(data: Bytes, start: int, length: int) -> tuple[int, int, int, int]:
    return find_trigger(data, start, length)


@pytest.fixture(scope="module", autouse=True)
def _compiled() -> None:
    """Compiling is not charged to the first test."""
    kernel_trigger(b"")


def kernel_trigger(first_bytes: bytes, before: int = 3, behind: bytes = b"") -> Trigger:
    """The kernel's answer in the reference's words; the buffer ends exactly where `behind` does."""
    data = np.frombuffer(b"\x16" * before + first_bytes + behind, np.uint8)
    status, kind, offset, length = found(data, before, len(first_bytes))
    if status != FOUND:
        assert (kind, offset, length) == (0, 0, 0)
    else:
        assert before <= offset
        assert offset + length <= before + len(first_bytes)
    return Trigger(status, TriggerKind(kind), data[offset : offset + length].tobytes())


def trigger(first_bytes: bytes) -> Trigger:
    """What both say."""
    answer = read_trigger(first_bytes)
    assert kernel_trigger(first_bytes) == answer
    return answer


def sni(name: bytes) -> Trigger:
    return Trigger(FOUND, TriggerKind.sni, name)


def host(name: bytes) -> Trigger:
    return Trigger(FOUND, TriggerKind.host, name)


def vector(size: int, content: bytes) -> bytes:
    return len(content).to_bytes(size) + content


def extension(number: int, content: bytes) -> bytes:
    return number.to_bytes(2) + vector(2, content)


def server_name(name: bytes) -> bytes:
    return extension(0, vector(2, b"\0" + vector(2, name)))


def client_hello(
    *extensions: bytes, session: bytes = bytes(32), ciphers: bytes = b"\x13\x01\x13\x02", version: int = 0x303
) -> bytes:
    body = version.to_bytes(2) + bytes(32) + vector(1, session) + vector(2, ciphers) + vector(1, b"\0")
    return b"\x01" + vector(3, body + vector(2, b"".join(extensions)))


def records(handshake: bytes, *cuts: int, version: int = 0x301) -> bytes:
    borders = [0, *sorted(cut for cut in set(cuts) if 0 < cut < len(handshake)), len(handshake)]
    fragments = [handshake[a:b] for a, b in pairwise(borders)]
    return b"".join(b"\x16" + version.to_bytes(2) + vector(2, fragment) for fragment in fragments)


def request(*lines: bytes, first: bytes = b"GET / HTTP/1.1") -> bytes:
    return b"\r\n".join([first, *lines, b"", b""])


names = st.text("abcXYZ019-._", min_size=1, max_size=255).map(str.encode)
grease = st.sampled_from([0x0A0A, 0x5A5A, 0xFAFA]).map(lambda number: extension(number, b"\0"))
padding = st.integers(0, 600).map(lambda size: extension(21, bytes(size)))
key_shares = st.sampled_from([32, 1184 + 32]).map(
    lambda size: extension(51, vector(2, b"\x11\xec" + vector(2, bytes(size))))
)
others = st.builds(extension, st.integers(1, 0xFFFF), st.binary(max_size=40))


@st.composite
def hellos(draw: st.DrawFn, with_name: bool) -> tuple[bytes, bytes]:
    """A ClientHello with its extensions in any order, and the name in it."""
    extensions = draw(st.lists(grease | padding | key_shares | others, max_size=6).filter(_fits))
    name = draw(names)
    if with_name:
        extensions.insert(draw(st.integers(0, len(extensions))), server_name(name))
    sessions = st.sampled_from([b"", bytes(32)])
    ciphers = st.binary(min_size=1, max_size=40).map(lambda half: half * 2)
    return client_hello(*extensions, session=draw(sessions), ciphers=draw(ciphers)), name


def _fits(extensions: list[bytes]) -> bool:
    return sum(map(len, extensions)) < 3000


cuts = st.lists(st.integers(1, 3000), max_size=12)
heads = st.builds(
    lambda before, spelling, value, after: request(*before, spelling + value, *after),
    st.lists(st.sampled_from([b"Accept: */*", b"Hostess: x", b"X-Host: y", b" host: folded"]), max_size=3),
    st.sampled_from([b"Host: ", b"HOST:", b"host:\t ", b"hOsT:  "]),
    st.sampled_from([b"", b":", b":8080", b":80 ", b" "]).flatmap(
        lambda port: (names | st.just(b"[2001:db8::1]")).map(lambda name: name + port)
    ),
    st.lists(st.just(b"Cookie: a=b"), max_size=2),
)


def assert_settles(stream: bytes, end: Trigger) -> None:
    """MORE at every cut until the answer is there, and that answer at every cut from then on."""
    settled = False
    for length in range(len(stream) + 1):
        answer = trigger(stream[:length])
        settled = settled or answer.status != MORE
        assert answer == (end if settled else Trigger(MORE))
    assert settled


@given(hellos(with_name=True))
def test_the_name_of_a_client_hello_is_found(hello: tuple[bytes, bytes]) -> None:
    handshake, name = hello
    assert trigger(records(handshake)) == sni(name)


@given(hellos(with_name=False))
def test_a_client_hello_without_a_name_is_none(hello: tuple[bytes, bytes]) -> None:
    assert trigger(records(hello[0])).status == NONE


@given(hellos(with_name=True), cuts)
def test_a_client_hello_in_several_records_is_found_unless_the_name_straddles(
    hello: tuple[bytes, bytes], cuts: list[int]
) -> None:
    handshake, name = hello
    stream = records(handshake, *cuts)
    begin = handshake.index(vector(2, b"\0" + vector(2, name))) + 5
    straddles = any(begin < cut < begin + len(name) for cut in cuts)
    assert trigger(stream) == (Trigger(NONE) if straddles else sni(name))


@pytest.mark.parametrize("cuts", [(), (1, 4, 40, 90), tuple(range(1, 85))])
def test_a_truncated_client_hello_asks_for_more_until_the_name_is_there(cuts: tuple[int, ...]) -> None:
    share = extension(51, bytes(1220))
    stream = records(
        client_hello(extension(0x1A1A, b""), share, server_name(NAME), extension(21, bytes(9))), *cuts
    )
    assert_settles(stream, sni(NAME))


def test_every_border_of_two_records() -> None:
    handshake = client_hello(extension(43, b"\x02\x03\x04"), server_name(NAME))
    begin = handshake.index(NAME)
    for cut in range(1, len(handshake)):
        inside = begin < cut < begin + len(NAME)
        assert_settles(records(handshake, cut), Trigger(NONE) if inside else sni(NAME))


@given(heads)
def test_truncated_heads_settle(head: bytes) -> None:
    value = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"host:"))[5:].strip()
    name = value[: value.index(b"]") + 1] if value.startswith(b"[") else value.partition(b":")[0]
    assert trigger(head) == host(name)
    for length in range(0, len(head), 7):
        assert trigger(head[:length]) in (Trigger(MORE), host(name))


def test_a_truncated_head_asks_for_more_until_the_line_ends() -> None:
    assert_settles(request(b"Accept: */*", b"Host: www.example.com:8080", b"Cookie: a"), host(NAME))
    assert_settles(request(b"Accept: */*"), Trigger(NONE))


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A ClientHello or a request head with bytes replaced, removed or put in."""
    stream = draw(
        st.builds(lambda hello, cuts: records(hello[0], *cuts), hellos(with_name=True), cuts) | heads
    )
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, min(len(stream), 200)))
        removed = draw(st.integers(0, 2))
        stream = stream[:at] + draw(st.binary(max_size=2)) + stream[at + removed :]
    return stream[: draw(st.integers(0, len(stream)))]


@given(mutated() | st.binary(max_size=60) | st.binary(max_size=60).map(b"\x16\x03\x01".__add__), st.binary())
def test_the_kernel_agrees_with_the_reference_whatever_comes(stream: bytes, behind: bytes) -> None:
    answer = read_trigger(stream)
    assert kernel_trigger(stream) == answer
    assert kernel_trigger(stream, before=0, behind=behind) == answer  # and does not look behind


@given(mutated(), st.binary(max_size=80))
def test_more_bytes_never_take_an_answer_back(stream: bytes, added: bytes) -> None:
    answer = trigger(stream)
    if answer.status != MORE:
        assert trigger(stream + added) == answer


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(b"\x80\x2e\x01\x00\x02" + bytes(44), id="SSLv2 hello"),
        pytest.param(b"\x15\x03\x01\x00\x02\x02\x28", id="TLS alert"),
        pytest.param(b"\x16\x02\x01\x00\x05", id="record version 2.1"),
        pytest.param(b"\x16\x03\x05\x00\x05", id="record version 3.5"),
        pytest.param(b"\x16\x03\x01\x00\x00", id="empty record"),
        pytest.param(b"\x16\x03\x01\x40\x01", id="record over 2^14"),
        pytest.param(records(b"\x02" + client_hello(server_name(NAME))[1:]), id="ServerHello"),
        pytest.param(records(client_hello(server_name(NAME), version=0x404)), id="hello version 4.4"),
        pytest.param(records(client_hello(extension(0, b""))), id="empty server_name"),
        pytest.param(records(client_hello(extension(0, bytes(6)))), id="empty list"),
        pytest.param(records(client_hello(server_name(b""))), id="empty name"),
        pytest.param(records(client_hello(server_name(b"a" * 256))), id="256 bytes"),
        pytest.param(records(client_hello(server_name(b"a b"))), id="space"),
        pytest.param(records(client_hello(server_name(b"a\0b"))), id="NUL"),
        pytest.param(records(client_hello(server_name("é".encode()))), id="not ASCII"),
        pytest.param(
            records(client_hello(extension(0, vector(2, b"\1" + vector(2, NAME))))), id="not a host_name"
        ),
        pytest.param(records(b"\x01" + vector(3, b"\x03\x03" + bytes(32))), id="nothing behind the random"),
        pytest.param(
            records(b"\x01" + vector(3, b"\x03\x03" + bytes(32) + b"\0\0\2\x13\1\1\0")), id="no extensions"
        ),
        pytest.param(b"SSH-2.0-OpenSSH_9.7\r\n", id="SSH"),
        pytest.param(b"EHLO mail.example.com\r\n", id="SMTP"),
        pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", id="HTTP/2"),
        pytest.param(b"GET /\r\nHost: example.com\r\n", id="HTTP/0.9"),
        pytest.param(b" GET / HTTP/1.1\r\nHost: example.com\r\n", id="space first"),
        pytest.param(b"A" * 33, id="method over 32"),
        pytest.param(b"GET /\0", id="NUL in the head"),
        pytest.param(request(b"Accept: */*", b"", b"Host: body.example"), id="head without Host"),
        pytest.param(request(b"Host: "), id="empty Host"),
        pytest.param(request(b"Host: a b"), id="space in Host"),
        pytest.param(request(b"Host: a:8a"), id="odd port"),
        pytest.param(request(b"Host: [2001:db8::1"), id="open bracket"),
        pytest.param(request(b"Host: []"), id="empty brackets"),
        pytest.param(request(b"Host: " + b"a" * 256), id="Host of 256 bytes"),
    ],
)
def test_no_name(stream: bytes) -> None:
    assert trigger(stream) == Trigger(NONE)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (b"example.com", b"example.com"),
        (b"example.com:8080", b"example.com"),
        (b"example.com:", b"example.com"),
        (b"EXAMPLE.com.", b"EXAMPLE.com."),
        (b"192.0.2.1:80", b"192.0.2.1"),
        (b"[2001:db8::1]:80", b"[2001:db8::1]"),
        (b"a" * 255, b"a" * 255),
    ],
)
def test_host_values(value: bytes, name: bytes) -> None:
    assert trigger(request(b"hOST:\t" + value + b" ")) == host(name)
    assert trigger(request(b"Host: " + value).replace(b"\r\n", b"\n")) == host(name)
    assert trigger(request(b"Host: " + value, first=b"GET http://other.example/ HTTP/1.0")) == host(name)


def test_the_first_host_counts() -> None:
    assert trigger(request(b"Host: a.example", b"Host: b.example")) == host(b"a.example")


@pytest.mark.parametrize(
    "start",
    [
        records(client_hello(extension(21, bytes(9000)), server_name(NAME))),
        request(b"Cookie: " + b"a" * 9000, b"Host: example.com"),
    ],
)
def test_no_more_is_asked_for_at_the_limit(start: bytes) -> None:
    assert trigger(start[: LIMIT - 1]) == Trigger(MORE)
    for length in (LIMIT, LIMIT + 1, len(start)):
        assert trigger(start[:length]) == Trigger(NONE)


def test_a_name_that_ends_at_the_limit_is_found_and_one_byte_later_is_not() -> None:
    ends = len(records(client_hello(extension(21, b""), server_name(NAME))))
    for over, answer in ((0, sni(NAME)), (1, Trigger(NONE))):
        filler = extension(21, bytes(LIMIT - ends + over))
        assert trigger(records(client_hello(filler, server_name(NAME)))) == answer


def test_unsigned_arguments_as_a_packet_row_holds_them() -> None:
    data = np.frombuffer(b"abc" + request(b"Host: example.com"), np.uint8)
    status, kind, offset, length = found(data, np.uint32(3), np.uint32(len(data) - 3))  # type: ignore[arg-type]
    assert (status, kind) == (FOUND, TriggerKind.host)
    assert data[offset : offset + length].tobytes() == b"example.com"
