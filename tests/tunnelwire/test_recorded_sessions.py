"""How connections of cloudflared begin, are disturbed and end, as the recordings show it. Each test is a row of `recording.rows`."""

from __future__ import annotations

from hyperframe.frame import GoAwayFrame, SettingsFrame, WindowUpdateFrame

from halfopen.tunnelwire.capnp import Pointed
from halfopen.tunnelwire.http2.events import ControlEnded, Lost
from halfopen.tunnelwire.quic.head import Signature
from halfopen.tunnelwire.rpc.edge_control import (
    RegistrationAsked,
    Unregistered,
)
from halfopen.tunnelwire.rpc.messages import (
    Bootstrap,
    Finish,
)
from halfopen.tunnelwire.rpc.methods import UnregisterUdpSession
from halfopen.tunnelwire.rpc.registration import Registration
from halfopen.tunnelwire.rpc.vat import Aborted
from tests.tunnelwire.recording.closer import asked, frames, stream
from tests.tunnelwire.recording.play import Replay
from tests.tunnelwire.recording.quic_end import Calling
from tests.tunnelwire.recording.rows import shown
from tests.tunnelwire.recording.turns import Came, Closed
from tests.tunnelwire.test_vat import read


def wish(play: Replay, connection: int = 0) -> Registration:
    told = play.ends[connection].told[0].what
    assert isinstance(told, RegistrationAsked)
    return told.wish


# --- the transports


@shown("answers", over="http2")
def test_settings(play: Replay) -> None:
    """It begins with its settings, and opens the connection's window to 1 MiB."""
    settings, window, *_ = frames(play)
    assert isinstance(settings, SettingsFrame)
    told = {SettingsFrame.MAX_FRAME_SIZE: 1 << 20, SettingsFrame.INITIAL_WINDOW_SIZE: 1 << 20}
    told |= {SettingsFrame.MAX_CONCURRENT_STREAMS: 250, SettingsFrame.MAX_HEADER_LIST_SIZE: (1 << 20) + 320}
    told |= {SettingsFrame.HEADER_TABLE_SIZE: 4_096, 9: 1}  # RFC 9218: no priorities of RFC 7540
    assert settings.settings == told
    assert isinstance(window, WindowUpdateFrame)
    assert window.window_increment == (1 << 20) - 65_535
    assert play.ends[0].facts["alpn"] is None


@shown("answers", over="quic")
def test_parameters(play: Replay) -> None:
    """Five seconds of silence, as many streams as there are numbers, windows of 512 and 768 KiB, no connection id of its own."""
    facts = play.ends[0].facts
    assert facts["max_idle_timeout"] == 5
    assert facts["initial_max_streams"] == [1 << 60] * 2
    assert facts["initial_max_data"] == 786_432
    assert facts["initial_max_stream_data"] == [524_288] * 3
    assert facts["max_datagram_frame_size"] == 16_383
    assert facts["connection id"] == 0
    assert facts["first datagram"] >= 1_200


@shown("no_preface", over="http2")
def test_an_edge_that_says_nothing(play: Replay) -> None:
    """It sends its settings and nothing else, closes the connection, and if that was its first, gives up."""
    assert [type(frame) for frame in frames(play)] == [SettingsFrame]
    assert Closed(0) in play.turns
    assert play.notes["exit"] == 1


@shown("goodbye", over="http2")
def test_a_goodbye_of_the_edge(play: Replay) -> None:
    """It is answered alike, after which nothing can be asked; but the connection stays, and counts as ready."""
    assert [frame.error_code for frame in frames(play) if isinstance(frame, GoAwayFrame)] == [0]
    assert play.ends[0].controls(Lost)
    assert play.notes == {"running": True, "ready": 200}
    assert Closed(0) not in play.turns


@shown("no_datagrams", over="quic")
def test_an_edge_without_datagrams(play: Replay) -> None:
    """It registers and answers before an edge that takes no datagrams."""
    assert play.ends[0].body(asked(play, 0)) == b"hello"


@shown("silence", over="quic")
def test_an_edge_that_is_silent(play: Replay) -> None:
    """After seconds of silence it connects again, and registers the same connection."""
    first, second = wish(play), wish(play, 1)
    assert (first.connector, first.conn_index) == (second.connector, second.conn_index)
    assert play.ends[1].body(1) == b"hello"


@shown("closed")
def test_an_edge_that_closes(play: Replay) -> None:
    """It comes again, whatever the code."""
    assert len({(wish(play, each).connector, wish(play, each).conn_index) for each in range(3)}) == 1


# --- disturbances and the end


@shown("leaves")
def test_it_leaves(play: Replay) -> None:
    """It says so, is not ready from then on, ends the control stream, answers what it is asked still, and ends once the edge closes."""
    edge = play.ends[0]
    assert edge.controls(Unregistered)
    assert edge.controls(Aborted) == [Aborted("rpc: shutdown", by_us=False)]
    assert edge.body(asked(play, 1)) == b"hello"
    assert play.notes == {"ready": 503, "exit": 0}
    if play.transport == "http2":
        assert edge.controls(ControlEnded)
    else:
        assert [turn.end for turn in play.turns if isinstance(turn, Came) and turn.stream == 0][-1]


@shown("leaves_late")
def test_it_leaves_and_nobody_closes(play: Replay) -> None:
    """It closes the connection itself when its time of grace is over."""
    assert Closed(0) in play.turns
    assert play.notes == {"exit": 0}


@shown("control_broken_off")
def test_a_control_stream_that_is_broken_off(play: Replay) -> None:
    """Over HTTP/2 it is not ready any more and does not come again; over QUIC it takes no notice. It still answers."""
    ready = {"http2": 503, "quic": 200}[play.transport]
    assert play.notes == {"running": True, "ready": ready}
    assert len(play.ends) == 1
    assert [play.ends[0].body(asked(play, nth)) for nth in range(2)] == [b"hello"] * 2


@shown("control_ended")
def test_a_control_stream_that_ends(play: Replay) -> None:
    """It takes no notice."""
    assert play.notes == {"running": True, "ready": 200}
    assert [play.ends[0].body(asked(play, nth)) for nth in range(2)] == [b"hello"] * 2


@shown("flow", over="quic")
def test_the_end_of_a_flow(play: Replay) -> None:
    """It is a call on a stream of the connector's own, with the signature of those of the edge, and can be answered."""
    assert play.ends[0].replies(4)[0] == Calling()
    sent = stream(play, 4)
    assert sent.startswith(Signature.RPC.value)
    bootstrap, call, *rest = read(sent[6:])
    assert isinstance(bootstrap, Bootstrap)
    assert call.method == 1
    assert isinstance(call.params.content, Pointed)
    assert call.params.content.struct(UnregisterUdpSession).session_id == bytes(16)
    assert any(isinstance(each, Finish) and each.question == call.question for each in rest)
