"""The scenes of the matrix: one function is one capture, its docstring says how it is made.

A `real` scene plays in the test bed: two kernels talk, a middlebox cuts or injects. A `drawn` scene
is written packet by packet, for what no real stack does or what would take too long; its docstring
says why.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from socket import socket
from typing import Any, Final, TypeAlias

from halfopen.testing.conversation import START, Conversation
from halfopen.testing.payloads import http_answer, http_request
from halfopen.testing.pcap import Frame
from halfopen.testing.play import Play, receive

Ends: TypeAlias = tuple[socket, socket]
Script: TypeAlias = Callable[[Play], None]
Drawing: TypeAlias = Callable[[], list[Frame]]
Keep: TypeAlias = Callable[[Play, list[Frame]], list[Frame]]


@dataclass(frozen=True, slots=True)
class Scene:
    """One capture to be made: in the test bed by `script`, or by `drawing`."""

    name: str
    how: str
    file: str
    script: Script | None = None
    drawing: Drawing | None = None
    link: int = 1
    near: bool = False
    ipv6: bool = False
    port: int = 443
    keep: Keep | None = None


GROUPS: Final = ("silence", "endings", "server_side", "reuse", "copies", "stages", "signatures", "links")
"""The modules of this package that hold scenes."""

SCENES: Final[dict[str, Scene]] = {}
"""Every scene by the name of its capture, once `load` has been called."""


def load() -> None:
    """Enter the scenes of all groups into `SCENES`."""
    for group in GROUPS:
        importlib.import_module(f"{__name__}.{group}")


def real(
    *, near: bool = False, ipv6: bool = False, port: int = 443, keep: Keep | None = None
) -> Callable[[Script], Script]:
    """A scene of the test bed.

    `near` records on the client's side of the middlebox, else at the server; `keep` makes the capture
    from the recorded frames where not all of them belong to it.
    """

    def enter(script: Script) -> Script:
        _enter(script, script=script, near=near, ipv6=ipv6, port=port, keep=keep)
        return script

    return enter


def drawn(*, link: int = 1) -> Callable[[Drawing], Drawing]:
    """A scene written packet by packet; remaking it gives the same bytes."""

    def enter(drawing: Drawing) -> Drawing:
        _enter(drawing, drawing=drawing, link=link)
        return drawing

    return enter


def talk(
    number: int = 0, *, ipv6: bool = False, port: int = 443, start: int = START, **ends: int
) -> Conversation:
    """A conversation of drawn scenes between hosts of the documentation prefixes; `number` tells them apart."""
    if ipv6:
        client, server = f"2001:db8:1::{number + 16:x}", "2001:db8:ffff::200"
    else:
        client, server = f"192.0.2.{number + 10}", "203.0.113.200"
    return Conversation((client, 40000 + number), (server, port), start=start, **ends)


def exchange(play: Play, request: bytes = http_request(), answer: bytes = http_answer()) -> Ends:
    """A real connection with one request, and its answer acknowledged by the client."""
    client, server = play.open()
    client.sendall(request)
    receive(server, len(request))
    server.sendall(answer)
    receive(client, len(answer))
    play.arrived(count=4)
    return client, server


def asked(play: Play, request: bytes = http_request()) -> Ends:
    """A real connection with one request that has reached the server, and no answer."""
    client, server = play.open()
    client.sendall(request)
    receive(server, len(request))
    play.sent(count=2)
    return client, server


def _enter(function: Script | Drawing, **values: Any) -> None:
    name = function.__name__
    if name in SCENES:
        raise ValueError(f"two scenes are called {name}")
    how = " ".join((function.__doc__ or "").split())
    SCENES[name] = Scene(name, how, f"captures/scenes/{function.__module__.rpartition('.')[2]}.py", **values)
