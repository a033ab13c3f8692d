"""Headers in one header, and who made the answer: written as cloudflared writes them, and read with suspicion."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfopen.errors import WireError
from halfopen.tunnelwire.headers import (
    Header,
    Meta,
    canonical,
    check,
    read_meta,
    read_user_headers,
    write_meta,
    write_user_headers,
)

any_name = st.from_regex(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,20}", fullmatch=True).map(str.encode)
any_value = st.binary(max_size=40).map(lambda value: value.translate(None, b"\0\r\n"))
any_headers = st.lists(st.tuples(any_name, any_value), max_size=12)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        (b"content-type", b"Content-Type"),
        (b"SEC-WEBSOCKET-ACCEPT", b"Sec-Websocket-Accept"),
        (b"etag", b"Etag"),
        (b"x--a-", b"X--A-"),
        (b"1x", b"1x"),
        (b"", b""),
    ],
)
def test_names_as_go_writes_them(name: bytes, written: bytes) -> None:
    assert canonical(name) == written


def test_as_cloudflared_writes_them() -> None:
    headers = [(b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2"), (b"X", b"")]
    written = b"U2V0LUNvb2tpZQ:YT0x;U2V0LUNvb2tpZQ:Yj0y;WA:"
    assert write_user_headers(headers) == written
    assert read_user_headers(written) == headers
    assert read_user_headers(b"") == []
    assert read_user_headers(b";;WA:;") == [(b"X", b"")]


@given(any_headers)
def test_what_is_written_is_read(headers: list[Header]) -> None:
    expected = [(canonical(name), value) for name, value in headers]
    assert read_user_headers(write_user_headers(headers)) == expected


def raw(value: bytes) -> bytes:
    return base64.b64encode(value).rstrip(b"=")


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (b"WA", "without a value: 'WA'"),
        (b"WA:WA:WA", "not base64"),
        (b"WA==:WA", "not base64"),
        (b"W:WA", "not base64"),
        (b"WA:W\n", "not base64"),
        (b"WA:\xff\xff", "not base64"),
        (raw(b"a b") + b":", "a header of the name 'a b'"),
        (raw(b"") + b":WA", "a header of the name ''"),
        (raw(b":status") + b":" + raw(b"200"), "a header of the name ':status'"),
        (raw(b"x") + b":" + raw(b"a\r\nSet-Cookie: b"), "more than one line"),
        (raw(b"x") + b":" + raw(b"a\0"), "more than one line"),
        (b"WA:" + b"A" * (1 << 20), "accepted: at most 1,048,576"),
        (b"WA:;" * 2_001, "2,001 headers; accepted: at most 2,000"),
    ],
)
def test_headers_that_are_none(written: bytes, words: str) -> None:
    with pytest.raises(WireError, match=words):
        read_user_headers(written)


@given(st.binary(max_size=60))
def test_any_bytes(written: bytes) -> None:
    try:
        check(read_user_headers(written))
    except WireError:
        return


@pytest.mark.parametrize(
    ("meta", "written"),
    [
        (Meta(from_origin=True), b'{"src":"origin"}'),
        (Meta(from_origin=False), b'{"src":"cloudflared"}'),
        (Meta(from_origin=False, rate_limited=True), b'{"src":"cloudflared","flow_rate_limited":true}'),
    ],
)
def test_who_made_it(meta: Meta, written: bytes) -> None:
    assert write_meta(meta) == written
    assert read_meta(written) == meta


@pytest.mark.parametrize(
    "written",
    [b"", b"{", b"[]", b"1", b"null", b"{}", b'{"src":1}', b'{"src":[]}', b'{"src":"x"}', b'"src"', b"\xff", b'{"src":"origin"}' + b" " * 1_024, b"[" * 1_000],
)  # fmt: skip
def test_answers_of_unknown_origin(written: bytes) -> None:
    with pytest.raises(WireError, match="unknown origin"):
        read_meta(written)
