"""How a stream begins: six bytes that say what it is for; a data stream goes on with a version and one message."""

from __future__ import annotations

from enum import Enum
from typing import Final, Generic

from halfopen.errors import WireError
from halfopen.tunnelwire.capnp import Message, Struct, encode, frame, take_message
from halfopen.tunnelwire.capnp.layout import AnyStruct
from halfopen.tunnelwire.headers import MOST


class Signature(Enum):
    """What a stream is for."""

    DATA = bytes.fromhex("0A36CD12A13E")
    RPC = bytes.fromhex("52BB825CDB65")


_VERSION: Final = b"01"
LONGEST: Final = 2 * MOST
"""How long the message may be, in bytes: beside headers it holds their keys and pointers."""


def take_signature(stream: bytearray) -> Signature | None:
    """Take the signature off a stream; None while not all of it is there. Raises WireError as soon as it can be none."""
    for each in Signature:
        if stream.startswith(each.value):
            del stream[: len(each.value)]
            return each
        if each.value.startswith(stream):
            return None
    raise WireError(f"a stream that begins with {stream[:6].hex(' ')}")


def write_head(message: Struct) -> bytes:
    """The beginning of a data stream."""
    return Signature.DATA.value + _VERSION + frame([encode(message)])


class Head(Generic[AnyStruct]):
    """The beginning of a data stream as it comes in: `message` once it is there, and in `stream` what came behind it."""

    def __init__(self, of: type[AnyStruct], signed: bool = False) -> None:
        """`signed` where the signature was taken off already."""
        self._of = of
        self._signed = signed
        self._versioned = False
        self.stream = bytearray()
        self.message: AnyStruct | None = None

    def receive(self, piece: bytes) -> None:
        """Take in a piece; raises WireError where it is no such beginning."""
        self.stream += piece
        if not self._signed:
            if (signature := take_signature(self.stream)) is None:
                return
            if signature is not Signature.DATA:
                raise WireError("a stream for calls in the place of one for data")
            self._signed = True
        if not self._versioned:
            if len(self.stream) < len(_VERSION):
                return
            del self.stream[: len(_VERSION)]  # whichever: nobody looks at it
            self._versioned = True
        if segments := take_message(self.stream, LONGEST):
            self.message = Message(segments).root(self._of)
