"""What two plays of a scenario have in common where one connector behaves as the other does: what the edge is told, and what the origin sees."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

from hyperframe.frame import RstStreamFrame

from halfopen.testing.connectors.connector import FEATURES
from halfopen.tunnelwire.exchange import Answered, Body, Broken, End, Refused
from halfopen.tunnelwire.rpc.edge_control import LocalConfiguration, RegistrationAsked
from tests.tunnelwire.recording.closer import frames
from tests.tunnelwire.recording.ends import EdgeEnd
from tests.tunnelwire.recording.play import Play
from tests.tunnelwire.recording.quic_end import Unwanted
from tests.tunnelwire.recording.turns import Saw

_OWN: Final = (
    "cf-warp-tag-id",
    "connection",
    "accept-encoding",
    "upgrade",
    "transfer-encoding",
    "content-length",
)
"""Headers that cloudflared adds on its way to the origin, which is HTTP/1.1; between our connector and its origin nobody speaks that."""


def likeness(play: Play) -> dict[str, Any]:
    """All of a play that has to be alike."""
    return {
        "connections": [_connection(end) for end in play.ends],
        "broken off": _broken_off(play) if play.transport == "http2" else None,
        "origin": sorted((_saw(each) for each in play.saw), key=str),
    }


def _connection(end: EdgeEnd) -> dict[str, Any]:
    streams = sorted({told.stream for told in end.told if told.stream is not None})
    return {
        "control": [_control(told.what) for told in end.told if told.stream is None],
        **{f"stream {stream}": _exchange(end.replies(stream)) for stream in streams},
    }


def _broken_off(play: Play) -> dict[int, int]:
    """Streams of HTTP/2 that the connector broke off, and with which error, after whole answers too."""
    return {frame.stream_id: frame.error_code for frame in frames(play) if isinstance(frame, RstStreamFrame)}


def _control(told: Any) -> Any:
    if isinstance(
        told, RegistrationAsked
    ):  # a connector is known by an id of its own, and tells its address in one form or another
        return replace(
            told.wish, connector="", local_ip="", features=tuple(sorted({*told.wish.features} & {*FEATURES}))
        )
    if isinstance(told, LocalConfiguration):
        return sorted(json.loads(told.config))
    return told


def _exchange(replies: list[Any]) -> list[Any]:
    """What a request was answered, whatever its pieces were.

    Left out: whether a connector said that it takes no more of the request, which is a matter of time; how much came before an answer was broken
    off; the words of a refusal; the order of headers of different names.
    """
    told = [each for each in replies if not isinstance(each, Body | Unwanted)]
    if told and isinstance(told[-1], Broken):
        return told[-1:]
    body = b"".join(each.data for each in replies if isinstance(each, Body))
    return [_reply(each) for each in told] + [body]


def _reply(told: Any) -> Any:
    match told:
        case Answered(status=status, headers=headers):
            return status, sorted((name.lower(), value) for name, value in headers)
        case Refused(rate_limited=limited):
            return "refused", limited
        case End(trailers=trailers):
            return [(name.lower(), value) for name, value in trailers]
    return told


def _saw(saw: Saw) -> Any:
    kept = sorted([name.lower(), value] for name, value in saw.headers if name.lower() not in _OWN)
    return saw.line, kept, saw.body
