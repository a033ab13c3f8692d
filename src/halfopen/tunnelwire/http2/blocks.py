"""Header blocks (HPACK, RFC 7541) as both ends of a connection write and read them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from hpack import Decoder, Encoder
from hpack.hpack import encode_integer
from hpack.table import HeaderTable

from halfopen.tunnelwire.headers import Header

_STATIC: Final = tuple(enumerate(HeaderTable.STATIC_TABLE, 1))
_WHOLE: Final = {header: bytes((0x80 | index,)) for index, header in _STATIC}
_NAMES: Final = {name: bytes(encode_integer(index, 4)) for index, (name, _) in reversed(_STATIC)}
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
    """Keeps Content-Length from h2, which ends the connection where a body is not as long, be it a 304's that has none."""

    def decode(self, data: bytes, raw: bool = False) -> Any:
        """As hpack does, without that header."""
        return [header for header in super().decode(data, raw) if header[0] != b"content-length"]


def plain(headers: Iterable[tuple[object, object]]) -> list[Header]:
    """Headers of an event of h2, which are in bytes here."""
    return [(bytes(name), bytes(value)) for name, value in headers]  # type: ignore[call-overload]
