"""The signatures and the tags as data: the one table that the reference and the kernel derive from.

A rule's meaning never changes under its id; a changed meaning is a new id and a new version.
Source of the notation and of the 19: "Global, Passive Detection of Connection Tampering"
(SIGCOMM 2023), as recovered in docs/method.md, which flags what is remembered and what was read.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from halfopen.model import Stage

RULES_VERSION: Final = 1

MANY: Final = 255
"""Upper bound of a count that has none."""


class Acks(IntEnum):
    """What a signature asks of the ack numbers of bare RSTs."""

    any = 0
    same = 1  # all equal, zero or not
    differ = 2  # not all equal, none zero
    differ_zero = 3  # not all equal, at least one zero


@dataclass(frozen=True, slots=True)
class Signature:
    """One row: the stage, and how many RST and RST+ACK the client's side of it must hold."""

    number: int
    id: str
    stage: Stage
    pattern: str
    words: str
    source: str
    resets: tuple[int, int]  # least and most bare RST
    reset_acks: tuple[int, int]  # least and most RST+ACK
    acks: Acks = Acks.any


_PAPER = "SIGCOMM 2023 paper, from memory"
_SEEN = "SIGCOMM 2023 paper, through published notes"
_POST = "Cloudflare's 2024 post on connection tampering"

_NONE = (0, 0)
_ONE = (1, 1)
_SOME = (1, MANY)
_SEVERAL = (2, MANY)

SIGNATURES: Final = (
    Signature(1, "syn_timeout", Stage.post_syn, "SYN -> 0", "a SYN, then silence", _PAPER, _NONE, _NONE),
    Signature(
        2, "syn_rst", Stage.post_syn, "SYN -> RST", "a SYN, then one or more RST", _PAPER, _SOME, _NONE
    ),
    Signature(
        3,
        "syn_rstack",
        Stage.post_syn,
        "SYN -> RST+ACK",
        "a SYN, then one or more RST+ACK",
        _PAPER,
        _NONE,
        _SOME,
    ),
    Signature(
        4,
        "syn_rst_rstack",
        Stage.post_syn,
        "SYN -> RST;RST+ACK",
        "a SYN, then both RST and RST+ACK",
        _PAPER,
        _SOME,
        _SOME,
    ),
    Signature(
        5,
        "ack_timeout",
        Stage.post_ack,
        "SYN;ACK -> 0",
        "a handshake, then silence before any data",
        _SEEN,
        _NONE,
        _NONE,
    ),
    Signature(
        6,
        "ack_rst",
        Stage.post_ack,
        "SYN;ACK -> RST",
        "a handshake, then exactly one RST",
        _SEEN,
        _ONE,
        _NONE,
    ),
    Signature(
        7,
        "ack_rsts",
        Stage.post_ack,
        "SYN;ACK -> RST;RST",
        "a handshake, then more than one RST",
        _PAPER,
        _SEVERAL,
        _NONE,
    ),
    Signature(
        8,
        "ack_rstack",
        Stage.post_ack,
        "SYN;ACK -> RST+ACK",
        "a handshake, then exactly one RST+ACK",
        _SEEN,
        _NONE,
        _ONE,
    ),
    Signature(
        9,
        "ack_rstacks",
        Stage.post_ack,
        "SYN;ACK -> RST+ACK;RST+ACK",
        "a handshake, then more than one RST+ACK",
        _PAPER,
        _NONE,
        _SEVERAL,
    ),
    Signature(
        10,
        "psh_timeout",
        Stage.post_psh,
        "PSH+ACK -> 0",
        "the first data, then silence",
        _PAPER,
        _NONE,
        _NONE,
    ),
    Signature(
        11,
        "psh_rst",
        Stage.post_psh,
        "PSH+ACK -> RST",
        "the first data, then exactly one RST",
        _PAPER,
        _ONE,
        _NONE,
    ),
    Signature(
        12,
        "psh_rstack",
        Stage.post_psh,
        "PSH+ACK -> RST+ACK",
        "the first data, then exactly one RST+ACK",
        _PAPER,
        _NONE,
        _ONE,
    ),
    Signature(
        13,
        "psh_rst_rstack",
        Stage.post_psh,
        "PSH+ACK -> RST;RST+ACK",
        "the first data, then both RST and RST+ACK",
        _SEEN,
        _SOME,
        _SOME,
    ),
    Signature(
        14,
        "psh_rstacks",
        Stage.post_psh,
        "PSH+ACK -> RST+ACK;RST+ACK",
        "the first data, then more than one RST+ACK",
        _PAPER,
        _NONE,
        _SEVERAL,
    ),
    Signature(
        15,
        "psh_rsts_same_ack",
        Stage.post_psh,
        "PSH+ACK -> RST=RST",
        "the first data, then several RST with one ack number",
        _PAPER,
        _SEVERAL,
        _NONE,
        Acks.same,
    ),
    Signature(
        16,
        "psh_rsts_other_acks",
        Stage.post_psh,
        "PSH+ACK -> RST!=RST",
        "the first data, then several RST with different ack numbers, none zero",
        _PAPER,
        _SEVERAL,
        _NONE,
        Acks.differ,
    ),
    Signature(
        17,
        "psh_rsts_zero_ack",
        Stage.post_psh,
        "PSH+ACK -> RST;RST0",
        "the first data, then several RST with different ack numbers, one zero",
        _POST,
        _SEVERAL,
        _NONE,
        Acks.differ_zero,
    ),
    Signature(
        18,
        "data_rst",
        Stage.later_in_flow,
        "PSH+ACK;Data -> RST",
        "more data, then one or more RST",
        _PAPER,
        _SOME,
        _NONE,
    ),
    Signature(
        19,
        "data_rstack",
        Stage.later_in_flow,
        "PSH+ACK;Data -> RST+ACK",
        "more data, then one or more RST+ACK",
        _PAPER,
        _NONE,
        _SOME,
    ),
)
"""The 19 signatures. A set that fits no row has signature 0, `none` (D13)."""


def signature_id(number: int) -> str:
    """Text id of a signature number; ``none`` for 0."""
    return SIGNATURES[number - 1].id if number else "none"


def signature_table() -> NDArray[np.uint8]:
    """The rows as the kernel reads them: number, stage, least and most RST and RST+ACK, acks."""
    return np.array([(s.number, s.stage, *s.resets, *s.reset_acks, s.acks) for s in SIGNATURES], np.uint8)


class Tag(IntEnum):
    """Bit of a tag in CONNECTION.tags; `TAGS` has the words."""

    timeout = 0
    reset = 1
    fin = 2
    single_rst = 3
    multiple_rsts = 4
    acknumsame = 5
    acknumsame0 = 6
    acknumdiff = 7
    acknumdiff0 = 8
    single_rstack = 9
    multiple_rstacks = 10
    rst_and_rstacks = 11
    server_fin = 12
    answered = 13
    idle = 14
    retransmitting = 15
    refused = 16
    server_reset = 17
    server_closed = 18
    foreign_rst = 19
    unanswered = 20
    icmp_unreachable = 21
    stray_rst = 22
    port_reuse = 23
    syn_retransmitted = 24
    syn_payload = 25
    zmap = 26
    zmap_new = 27
    masscan = 28
    mirai = 29


TAGS: Final = {
    Tag.timeout: "cut by silence",
    Tag.reset: "cut by a reset",
    Tag.fin: "a FIN of the client beside the reset (D7)",
    Tag.single_rst: "exactly one RST without ACK",
    Tag.multiple_rsts: "several RST without ACK",
    Tag.acknumsame: "their ack numbers are equal and not zero",
    Tag.acknumsame0: "their ack numbers are all zero",
    Tag.acknumdiff: "their ack numbers differ, none is zero",
    Tag.acknumdiff0: "their ack numbers differ, one is zero",
    Tag.single_rstack: "exactly one RST+ACK",
    Tag.multiple_rstacks: "several RST+ACK",
    Tag.rst_and_rstacks: "both RST and RST+ACK",
    Tag.server_fin: "the server had sent its FIN before the reset (D7)",
    Tag.answered: "after its last new data the client acknowledged more than before (D1)",
    Tag.idle: "silence of more than the idle timeout before the first reset (D7)",
    Tag.retransmitting: "the last five of ten packets were repeats (D8)",
    Tag.refused: "the server answered the SYN with a RST, or an ICMP unreachable of its own (D9)",
    Tag.server_reset: "the server reset the connection and the client did not (D9)",
    Tag.server_closed: "the server's FIN was acknowledged, then silence (D9)",
    Tag.foreign_rst: "resets in the server's name that the server did not send (D9)",
    Tag.unanswered: "nothing from the server was seen (D9)",
    Tag.icmp_unreachable: "a router answered the SYN with ICMP unreachable (D9)",
    Tag.stray_rst: "a RST of some other connection on the same ports (D16)",
    Tag.port_reuse: "the 5-tuple belonged to another connection just before (D3)",
    Tag.syn_retransmitted: "the SYN came more than once (D3)",
    Tag.syn_payload: "the SYN carried data (D5)",
    Tag.zmap: "SYN of an older ZMap: IP-ID 54321 and window 65535",
    Tag.zmap_new: "SYN of a probable newer ZMap: window 65535, DF clear, Windows-like options",
    Tag.masscan: "SYN of masscan: IP-ID is address xor port xor sequence number",
    Tag.mirai: "SYN of Mirai: the sequence number is the server's address",
}


def tag_names(bits: int) -> list[str]:
    """Names of the tags set in `bits`, in the order of their bits."""
    return [tag.name for tag in Tag if bits >> tag & 1]
