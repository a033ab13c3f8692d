"""Questions to the kernel about its network (netlink(7)); none of them needs a privilege."""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

NETLINK_ROUTE, NETLINK_SOCK_DIAG = 0, 4
_REQUEST_DUMP: Final = 0x301  # NLM_F_REQUEST | NLM_F_ROOT | NLM_F_MATCH
_ERROR, _DONE = 2, 3  # NLMSG_ERROR, NLMSG_DONE
_MOST: Final = 1 << 16
_HEADER: Final = struct.Struct("=IHHII")


class Netlink:
    """One kind of questions, asked in the network namespace in which this was made.

    `groups` are the bits of multicast groups whose messages are `news`.
    """

    def __init__(self, protocol: int, groups: int = 0) -> None:
        self._questions = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        self._news = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)
        self._news.bind((0, groups))

    def news(self) -> bool:
        """Whether anything was told to the groups since this was asked last."""
        told = False
        while True:
            try:
                self._news.recv(_MOST)
            except BlockingIOError:
                return told
            except OSError as error:
                if error.errno != errno.ENOBUFS:  # more than fits was told
                    raise
            told = True

    def dump(self, kind: int, request: bytes) -> Iterator[bytes]:
        """The messages of the answer to one question, without their headers; read it to its end."""
        self._questions.send(_HEADER.pack(_HEADER.size + len(request), kind, _REQUEST_DUMP, 0, 0) + request)
        while True:
            answer = self._questions.recv(_MOST)
            at = 0
            while at < len(answer):
                length, told, *_ = _HEADER.unpack_from(answer, at)
                body = answer[at + _HEADER.size : at + length]
                if told == _DONE:
                    return
                if told == _ERROR:
                    number = -struct.unpack_from("=i", body)[0]
                    raise OSError(number, os.strerror(number))
                yield body
                at += _aligned(length)

    def close(self) -> None:
        """Ask no more."""
        with suppress(OSError):
            self._questions.close()
        self._news.close()


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes of a message, or of an attribute of attributes, by number."""
    found = {}
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, at)
        if length < 4:
            break
        found[kind & 0x3FFF] = data[at + 4 : at + length]
        at += _aligned(length)
    return found


def _aligned(length: int) -> int:
    return (length + 3) & ~3
