"""Header blocks (HPACK, RFC 7541) as both ends of a connection write and read them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from hpack import Decoder, Encoder
from hpack.exceptions import HPACKDecodingError, OversizedHeaderListError
from hpack.hpack import decode_integer, encode_integer
from hpack.table import HeaderTable, table_entry_size

from halfopen.tunnelwire.headers import Header
from halfopen.tunnelwire.http2.huffman import read_huffman

_STATIC: Final = tuple(enumerate(HeaderTable.STATIC_TABLE, 1))
_WHOLE: Final = {header: bytes((0x80 | index,)) for index, header in _STATIC}
_NAMES: Final = {name: bytes(encode_integer(index, 4)) for index, (name, _) in reversed(_STATIC)}
_LONGEST: Final = 16  # bytes of a number, and more
_SHORT: Final = tuple(bytes((length,)) for length in range(127))


class PlainEncoder(Encoder):
    """Writes every header anew and in plain: what one visitor sends must not make shorter what another one does (RFC 7541, 7.1).

    Nor would it be faster: hpack walks its table for each header, and takes time with the square of a value's length for Huffman's code.
    """

    def encode(self, headers: Iterable[Any], huffman: bool = False) -> bytes:
        """Names and values, in bytes, as a header block."""
        fields = [super().encode(())]  # what is to be told of the table's size
        for name, value in headers:
            if (known := _WHOLE.get((name, value))) is not None:
                fields.append(known)
            else:
                fields += (_NAMES.get(name) or b"\0" + _length(name) + name, _length(value), value)
        return b"".join(fields)


def _length(text: bytes) -> bytes:
    size = len(text)
    return _SHORT[size] if size < len(_SHORT) else bytes(encode_integer(size, 7))


class LengthlessDecoder(Decoder):
    """Keeps Content-Length from h2, which ends the connection where a body is not as long, be it a 304's that has none.

    It reads as hpack does, in half the time or less.
    """

    def decode(self, data: bytes, raw: bool = False) -> Any:
        """The headers of a block, in bytes; raises HPACKDecodingError."""
        table = self.header_table
        headers: list[Header] = []
        at = size = 0
        while at < len(data):
            first = data[at]
            if first >= 0x80:
                index, at = _number(data, at, 7)
                name, value = table.get_by_index(index)
            elif first & 0xE0 == 0x20:
                if size:
                    raise HPACKDecodingError("a size of the table behind headers")
                at += self._update_encoding_context(data[at : at + _LONGEST])
                continue
            else:
                index, at = _number(data, at, 6 if first >= 0x40 else 4)
                if index:
                    name = table.get_by_index(index)[0]
                else:
                    name, at = _text(data, at)
                value, at = _text(data, at)
                if first >= 0x40:
                    table.add(name, value)
            size += table_entry_size(name, value)
            if size > self.max_header_list_size:
                raise OversizedHeaderListError(f"headers of more than {self.max_header_list_size:,} bytes")
            if name != b"content-length":
                headers.append((name, value))
        self._assert_valid_table_size()
        return headers


def _number(data: bytes, at: int, bits: int) -> tuple[int, int]:
    """A number in the last bits of a byte, or more of them, and where the next thing is."""
    most = (1 << bits) - 1
    if (number := data[at] & most) < most:
        return number, at + 1
    number, used = decode_integer(data[at : at + _LONGEST], bits)
    return number, at + used


def _text(data: bytes, at: int) -> tuple[bytes, int]:
    """A name or a value, and where the next thing is."""
    if at >= len(data):
        raise HPACKDecodingError("a header that is cut off")
    coded = data[at] >= 0x80
    length, at = _number(data, at, 7)
    if at + length > len(data):
        raise HPACKDecodingError("a header that is cut off")
    text = data[at : at + length]
    return read_huffman(text) if coded else text, at + length


def plain(headers: Iterable[tuple[object, object]]) -> list[Header]:
    """Headers of an event of h2, which are in bytes here."""
    return [(bytes(name), bytes(value)) for name, value in headers]  # type: ignore[call-overload]
