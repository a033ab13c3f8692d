"""A socket that gets what rules of the firewall log to one NFLOG group. Standard library only.

Opening it takes CAP_NET_ADMIN, reading nothing. Numbers and layouts: <linux/netlink.h>,
<linux/netfilter/nfnetlink.h> and <linux/netfilter/nfnetlink_log.h>.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from contextlib import suppress
from typing import Final

from halfopen.errors import UsageError

DATAGRAM: Final = 63 << 10
"""Bytes of messages that the kernel puts together in one datagram: the most that takes 64 KiB of memory."""

QUEUED: Final = 64
"""Packets that the kernel gathers before it hands them on; rules may ask for fewer (`log queue-threshold`)."""

DELAY: Final = 10
"""Hundredths of a second after which it hands on fewer."""

ROOM: Final = 32 << 20
"""Bytes of datagrams that may wait to be read; each counts as the memory it holds."""

_NETFILTER: Final = 12  # NETLINK_NETFILTER
_SOL_NETLINK: Final = 270
_NO_ENOBUFS: Final = 5  # NETLINK_NO_ENOBUFS
_SO_RCVBUFFORCE: Final = 33
_REQUEST_WITH_ANSWER: Final = 0x5  # NLM_F_REQUEST | NLM_F_ACK
_ERROR: Final = 2  # NLMSG_ERROR, also the answer that all is well
_PACKET, _CONFIG = 4 << 8, 4 << 8 | 1  # NFNL_SUBSYS_ULOG with NFULNL_MSG_PACKET, NFULNL_MSG_CONFIG
_CFG_CMD, _CFG_MODE, _CFG_NLBUFSIZ, _CFG_TIMEOUT, _CFG_QTHRESH, _CFG_FLAGS = range(1, 7)
_CMD_BIND: Final = 1
_COPY_PACKET: Final = 2
_FLAG_SEQ: Final = 1

_ANSWER: Final = struct.Struct("=IHHIIi")  # a message's head, then an error number


def open_group(group: int, snaplen: int) -> socket.socket:
    """A socket on NFLOG `group` that gets the first `snaplen` bytes of each IP packet, and does not block.

    Raises PermissionError without CAP_NET_ADMIN, UsageError where the group cannot be had.
    """
    if not 0 <= group <= 65535:
        raise UsageError("NFLOG group", group, "0 to 65535")
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, _NETFILTER)
    try:
        made.bind((0, 0))
        # What finds no room is told by its sequence number; a socket that is told by ENOBUFS gets nothing
        # more until it has been read empty.
        made.setsockopt(_SOL_NETLINK, _NO_ENOBUFS, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, ROOM)
        with suppress(
            PermissionError
        ):  # in a user namespace; who may bind a group may do this everywhere else
            made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, ROOM)
        _bind(made, group, snaplen)
    except BaseException:
        made.close()
        raise
    return made


def _bind(made: socket.socket, group: int, snaplen: int) -> None:
    """All settings in one request: from the first packet on they are in force."""
    head = struct.pack(">BBH", socket.AF_UNSPEC, 0, group)
    settings = (
        _attribute(_CFG_CMD, struct.pack(">B", _CMD_BIND)),
        _attribute(_CFG_MODE, struct.pack(">IBx", snaplen, _COPY_PACKET)),
        _attribute(_CFG_NLBUFSIZ, struct.pack(">I", DATAGRAM)),
        _attribute(_CFG_TIMEOUT, struct.pack(">I", DELAY)),
        _attribute(_CFG_QTHRESH, struct.pack(">I", QUEUED)),
        _attribute(_CFG_FLAGS, struct.pack(">H", _FLAG_SEQ)),
    )
    error = _answer(made, _CONFIG, head + b"".join(settings))
    # It is the same error where somebody else has the group, but only that one depends on what is asked.
    if error == errno.EPERM and _answer(made, _PACKET, head) != errno.EPERM:
        raise UsageError("NFLOG group", group, "a group that no other program listens to")
    if error == errno.EINVAL:
        raise UsageError("NFLOG group", group, "none on a kernel without nfnetlink_log")
    if error:
        raise OSError(error, os.strerror(error), f"NFLOG group {group}")


def _answer(made: socket.socket, kind: int, request: bytes) -> int:
    """The error number that a request is answered with, 0 where it was done."""
    made.send(struct.pack("=IHHII", 16 + len(request), kind, _REQUEST_WITH_ANSWER, 0, 0) + request)
    told = error = 0
    while told != _ERROR:  # the answer is there by now; packets may have come before it
        _, told, _, _, _, error = _ANSWER.unpack_from(made.recv(DATAGRAM))
    return -int(error)


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
