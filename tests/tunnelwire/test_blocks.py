"""Header blocks as they are written, read by hpack."""

from hpack import Decoder
from hypothesis import given
from hypothesis import strategies as st

from halfopen.tunnelwire.headers import Header
from halfopen.tunnelwire.http2.blocks import PlainEncoder

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
