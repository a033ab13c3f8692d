"""Huffman's code of header blocks, a byte at a time: hpack's own way goes by half bytes, each of which costs as much."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from hpack.exceptions import HPACKDecodingError
from hpack.huffman_table import HUFFMAN_COMPLETE, HUFFMAN_EMIT_SYMBOL, HUFFMAN_FAIL, HUFFMAN_TABLE


class _Steps(dict[int, tuple[bytes, Any]]):
    """From one state, by the next byte: what it completes, and the steps from there. Learnt as they are taken."""

    def __init__(self, state: int, may_end: bool) -> None:
        self.state, self.may_end = state, may_end

    def __missing__(self, byte: int) -> tuple[bytes, _Steps]:
        state, flags, completed = self.state, 0, b""
        for half in (byte >> 4, byte & 15):
            state, flags, symbol = HUFFMAN_TABLE[16 * state + half]
            if flags & HUFFMAN_FAIL:
                raise HPACKDecodingError("not Huffman's code")
            if flags & HUFFMAN_EMIT_SYMBOL:
                completed += bytes((symbol,))
        step = self[byte] = completed, _steps(state, bool(flags & HUFFMAN_COMPLETE))
        return step


_steps = cache(_Steps)
_BEGIN: Final = _steps(0, True)


def read_huffman(code: bytes) -> bytes:
    """The text in Huffman's code; raises HPACKDecodingError where it is none."""
    steps, pieces = _BEGIN, []
    for byte in code:
        piece, steps = steps[byte]
        pieces.append(piece)
    if not steps.may_end:
        raise HPACKDecodingError("Huffman's code that is not complete")
    return b"".join(pieces)
