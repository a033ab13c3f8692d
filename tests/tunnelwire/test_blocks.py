"""Header blocks as they are written, read by hpack; and as they are read, beside hpack."""

from contextlib import suppress

import pytest
from hpack import Decoder, Encoder, HPACKError
from hypothesis import given
from hypothesis import strategies as st

from halfopen.tunnelwire.headers import Header
from halfopen.tunnelwire.http2.blocks import LengthlessDecoder, PlainEncoder
from halfopen.tunnelwire.http2.huffman import read_huffman

NAMES = st.sampled_from(
    (b":method", b":path", b"accept", b"cookie", b"www-authenticate", b"cf-ray")
) | st.binary(max_size=300)
VALUES = st.sampled_from((b"", b"GET", b"/", b"gzip, deflate")) | st.binary(max_size=300)


@given(st.lists(st.lists(st.tuples(NAMES, VALUES))))
def test_any_headers_are_read_as_they_were(messages: list[list[Header]]) -> None:
    encoder, decoder = PlainEncoder(), Decoder()
    for headers in messages:
        assert decoder.decode(encoder.encode(headers), raw=True) == headers


def test_a_value_of_any_length_is_read() -> None:
    headers = [(b"cookie", b"x" * length) for length in (126, 127, 128, 255, 16_511, 70_000)]
    decoder = Decoder()
    decoder.max_header_list_size = 1 << 20
    assert decoder.decode(PlainEncoder().encode(headers), raw=True) == headers


@given(st.lists(st.tuples(NAMES, VALUES)), st.lists(st.tuples(NAMES, VALUES)))
def test_nobody_learns_from_lengths_what_another_sent(mine: list[Header], other: list[Header]) -> None:
    encoder = PlainEncoder()
    alone = encoder.encode(mine)
    encoder.encode(other)
    assert encoder.encode(mine) == alone


def test_a_smaller_table_is_told() -> None:
    encoder, decoder = PlainEncoder(), Decoder()
    encoder.header_table_size = 100
    decoder.max_allowed_table_size = 100
    headers = [(b":method", b"GET"), (b"cookie", b"a=b")]
    assert decoder.decode(encoder.encode(headers), raw=True) == headers
    assert decoder.decode(encoder.encode(headers), raw=True) == headers


def read(decoder: Decoder, block: bytes) -> object:
    with suppress(HPACKError):
        return [each for each in decoder.decode(block, raw=True) if each[0] != b"content-length"]
    return None


SIZES = st.none() | st.sampled_from((0, 60, 4096))
BLOCKS = st.lists(st.tuples(SIZES, st.lists(st.tuples(NAMES, VALUES))))


@given(BLOCKS, st.booleans())
def test_any_block_is_read_as_hpack_reads_it(
    blocks: list[tuple[int | None, list[Header]]], huffman: bool
) -> None:
    encoder, ours, hpacks = Encoder(), LengthlessDecoder(), Decoder()
    for size, headers in blocks:
        if size is not None:
            encoder.header_table_size = size
        block = encoder.encode([*headers, (b"content-length", b"1")], huffman)
        assert (
            read(ours, block)
            == read(hpacks, block)
            == [each for each in headers if each[0] != b"content-length"]
        )


@given(st.lists(st.binary(max_size=40)))
def test_any_bytes_are_read_as_hpack_reads_them(blocks: list[bytes]) -> None:
    ours, hpacks = LengthlessDecoder(), Decoder()
    for block in blocks:
        found = read(ours, block)
        assert found == read(hpacks, block)
        if found is None:
            break


@given(st.binary(max_size=40))
def test_huffmans_code_is_read_as_hpack_reads_it(code: bytes) -> None:
    block = b"\x00\x01a" + bytes((0x80 | len(code),)) + code
    assert read(LengthlessDecoder(), block) == read(Decoder(), block)


@pytest.mark.parametrize("code", [b"\xff\xff\xff\xff", b"\x00\x00", b"\xff"])
def test_codes_that_are_none(code: bytes) -> None:
    with pytest.raises(HPACKError):
        read_huffman(code)


def test_no_more_headers_are_read_than_are_welcome() -> None:
    decoder = LengthlessDecoder()
    decoder.max_header_list_size = 100
    with pytest.raises(HPACKError, match="more than 100 bytes"):
        decoder.decode(Encoder().encode([(b"cookie", b"x" * 80)]), raw=True)
