"""A play looked at closer: frames, headers and streams as they came."""

from __future__ import annotations

from hpack import Decoder
from hyperframe.frame import DataFrame, Frame, HeadersFrame

from tests.tunnelwire.recording.play import Play
from tests.tunnelwire.recording.turns import Came


def frames(play: Play, stream: int | None = None) -> list[Frame]:
    """Frames that came over HTTP/2, all or those of one stream."""
    left = b"".join(turn.data for turn in play.turns if isinstance(turn, Came) and turn.connection == 0)
    found: list[Frame] = []
    while left:
        frame, length = Frame.parse_frame_header(memoryview(left[:9]))
        frame.parse_body(memoryview(left[9 : 9 + length]))
        found.append(frame)
        left = left[9 + length :]
    return [frame for frame in found if stream is None or frame.stream_id == stream]


def headers(play: Play) -> dict[int, list[list[tuple[bytes, bytes]]]]:
    """Headers that came over HTTP/2, those of each stream in order."""
    decoder = Decoder()
    found: dict[int, list[list[tuple[bytes, bytes]]]] = {}
    for frame in frames(play):
        if isinstance(frame, HeadersFrame):
            found.setdefault(frame.stream_id, []).append(
                [(bytes(name), bytes(value)) for name, value in decoder.decode(frame.data, raw=True)]
            )
    return found


def stream(play: Play, number: int) -> bytes:
    """What came on a stream, over either transport."""
    if play.transport == "http2":
        return b"".join(frame.data for frame in frames(play, number) if isinstance(frame, DataFrame))
    return b"".join(
        turn.data
        for turn in play.turns
        if isinstance(turn, Came) and (turn.connection, turn.stream) == (0, number)
    )


def control(play: Play) -> bytes:
    """What came on the control stream."""
    return stream(play, 1 if play.transport == "http2" else 0)


def asked(play: Play, nth: int) -> int:
    """The number of the stream of a request of an edge that has configured the connector before."""
    return 5 + nth * (2 if play.transport == "http2" else 4)
