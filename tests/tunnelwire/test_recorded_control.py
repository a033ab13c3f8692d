"""What cloudflared says on the control stream and makes of configurations, as the recordings show it. Each test is a row of `recording.rows`."""

from __future__ import annotations

import json
from typing import Any

from hyperframe.frame import DataFrame

from halfopen.tunnelwire.capnp import Pointed
from halfopen.tunnelwire.configuration import Applied
from halfopen.tunnelwire.http2.edge import Configured
from halfopen.tunnelwire.http2.events import ControlEnded
from halfopen.tunnelwire.rpc.edge_control import (
    LocalConfiguration,
    RegistrationAsked,
    RegistrationWithdrawn,
)
from halfopen.tunnelwire.rpc.messages import (
    Bootstrap,
    Call,
    Failure,
    Finish,
    ImportedCap,
    MessageTarget,
    PromisedAnswer,
    Release,
)
from halfopen.tunnelwire.rpc.methods import RegisterConnection
from halfopen.tunnelwire.rpc.registration import Registration
from halfopen.tunnelwire.rpc.vat import Aborted
from tests.tunnelwire.recording.closer import control, frames, headers, stream
from tests.tunnelwire.recording.cloudflared import TOKEN
from tests.tunnelwire.recording.play import Replay
from tests.tunnelwire.recording.rows import USED, recorded, replay, shown
from tests.tunnelwire.recording.turns import Came, Closed
from tests.tunnelwire.test_vat import read

REGISTRATION = 0xF71695EC7FE85497


def wish(play: Replay, connection: int = 0) -> Registration:
    told = play.ends[connection].told[0].what
    assert isinstance(told, RegistrationAsked)
    return told.wish


def said(play: Replay) -> list[Any]:
    """What was said on the control stream; of a release only that it is one."""
    return [body for body in read(control(play)) if not isinstance(body, Release)]


# --- the control stream


@shown("answers", over="http2")
def test_the_control_stream_over_http2(play: Replay) -> None:
    """It is answered 200 without a header of the connector's kind; then bytes go both ways, each message at once."""
    (told,) = headers(play)[1]
    names = {name for name, _ in told}
    assert dict(told)[b":status"] == b"200"
    assert dict(told)[b"content-type"] == b"application/octet-stream"
    assert not any(name.startswith(b"cf-") for name in names)
    pieces = [frame.data for frame in frames(play, 1) if isinstance(frame, DataFrame)]
    assert all(read(piece) for piece in pieces)


@shown("answers", over="quic")
def test_the_control_stream_over_quic(play: Replay) -> None:
    """It is the first stream of the connector, and begins with the first message."""
    first = next(turn for turn in play.turns if isinstance(turn, Came))
    assert first.stream == 0
    assert isinstance(read(control(play))[0], Bootstrap)


@shown("leaves", "leaves_late", "answers", "closed")
def test_the_first_call(play: Replay) -> None:
    """It registers with the object itself where it has been given it already, and else with what is promised."""
    bootstrap, *rest = said(play)
    assert bootstrap == Bootstrap(0)
    given = rest[0] == Finish(0, release_results=False)
    register = rest[1 if given else 0]
    assert (register.question, register.interface, register.method) == (0 if given else 1, REGISTRATION, 0)
    assert register.target == MessageTarget(ImportedCap(0) if given else PromisedAnswer(0))


@shown("leaves", "leaves_late")
def test_the_last_call(play: Replay) -> None:
    """Numbers of questions that were answered are used again; an abort is the end."""
    *before, unregister, finish, abort = said(play)
    assert (unregister.interface, unregister.method) == (REGISTRATION, 1)
    assert unregister.target == MessageTarget(ImportedCap(0))
    finished = [each.question for each in before if isinstance(each, Finish)]
    assert unregister.question in finished
    assert finish.question == unregister.question
    assert abort == Failure("rpc: shutdown")


@shown("answers", "local")
def test_a_registration(play: Replay) -> None:
    """It shows the tunnel's secret as it is, and tells who it is, its features in any order."""
    told = wish(play)
    assert (told.account, told.tunnel, told.secret) == (TOKEN.account, TOKEN.tunnel, TOKEN.secret)
    assert (told.conn_index, told.attempts, told.version, told.arch) == (0, 0, "2026.8.2", "linux_amd64")
    assert told.local_ip == ("127.0.0.1" if play.transport == "http2" else "127.83.0.1")
    features = {
        "allow_remote_config",
        "serialized_headers",
        "support_datagram_v2",
        "support_quic_eof",
        "management_logs",
    }
    assert set(told.features) == features
    call = said(play)[1]
    assert isinstance(call, Call)
    assert isinstance(call.params.content, Pointed)
    options = call.params.content.struct(RegisterConnection).options
    assert (options.replace_existing, options.compression_quality) == (False, 0)
    assert len(options.origin_local_ip) == 16


def test_features_come_in_any_order() -> None:
    orders = set()
    for of in USED:
        for body in read(control(replay(*of, recorded(*of)))):
            if isinstance(body, Call) and body.method == 0 and isinstance(body.params.content, Pointed):
                orders.add(body.params.content.struct(RegisterConnection).options.client.features)
    assert len(orders) > 1
    assert len({tuple(sorted(each)) for each in orders}) == 1


# --- refusals


@shown("refused", "refused_for_now", "failed", "not_answered")
def test_a_refusal(play: Replay) -> None:
    """Over HTTP/2 it gives up after its first connection, and says why; over QUIC it tries again and does not."""
    told = [value for name, value in play.notes.items() if name.startswith("logged")]
    if play.transport == "http2":
        assert (play.notes["exit"], told) == (1, [True])
        assert len(play.ends) == 1
    else:
        assert (play.notes["ready"], told) == (503, [False])
        assert wish(play, 1).connector == wish(play).connector


@shown("not_answered")
def test_no_answer(play: Replay) -> None:
    """It withdraws the question after some seconds."""
    assert len(play.ends[0].controls(RegistrationWithdrawn)) == 1


@shown("unauthorized")
def test_a_word_that_makes_it_try_again(play: Replay) -> None:
    """Over either transport it comes again, and tells how often it has been refused."""
    assert wish(play, 1).connector == wish(play).connector
    assert (wish(play).attempts, wish(play, 1).attempts) == (0, 1)
    assert [each.outcome for each in play.ends[1].controls(Configured)] == [Applied(1, "")]
    assert play.notes["logged Unauthorized: Invalid tunnel secret"] is (play.transport == "http2")


@shown("duplicate")
def test_a_connection_that_is_there_already(play: Replay) -> None:
    """Over HTTP/2 it tries another address, over QUIC it just tries again."""
    assert [each.outcome for each in play.ends[1].controls(Configured)] == [Applied(1, "")]
    assert play.notes["logged trying another address"] is (play.transport == "http2")


@shown("refused_and_kept", over="http2")
def test_a_refusal_after_which_nobody_closes(play: Replay) -> None:
    """It ends the control stream and waits for ever, not ready, and does not come again."""
    assert play.ends[0].controls(Aborted)
    assert play.ends[0].controls(ControlEnded)
    assert play.notes == {"running": True, "ready": 503}
    assert Closed(0) not in play.turns


# --- configurations


@shown("configurations")
def test_configurations(play: Replay) -> None:
    """Only a version that is higher is applied; of the others, and of a wrong one, it tells the version that it has."""
    outcomes = [told.outcome for told in play.ends[0].controls(Configured)]
    assert [outcome.version for outcome in outcomes] == [3, 3, 3, 3, 5, 6]
    why = {"http2": "the connector does not say why"}.get(
        play.transport,
        "The last ingress rule must match all URLs (i.e. it should not have a hostname or path filter)",
    )
    assert [outcome.error for outcome in outcomes] == ["", "", "", why, "", ""]


@shown("configurations")
def test_without_rules(play: Replay) -> None:
    """It answers 503 until it is configured, and where there is no rule; a version that is not applied changes nothing."""
    replies = [
        play.ends[0].replies(number)
        for number in sorted({told.stream for told in play.ends[0].told if told.stream})
    ]
    assert [each[0].status for each in replies] == [503, 200, 200, 200, 503, 200]


@shown("configurations", over="http2")
def test_the_answer_to_a_configuration(play: Replay) -> None:
    """It is JSON, where an error is an empty object."""
    bodies = [json.loads(stream(play, number)) for number in (5, 15)]
    assert bodies == [{"lastAppliedVersion": 3, "err": None}, {"lastAppliedVersion": 3, "err": {}}]


@shown("configurations", over="quic")
def test_a_stream_for_each_configuration(play: Replay) -> None:
    """Each is a call on a stream of its own; the answer is messages without a signature."""
    for number in (5, 13, 17, 25, 33, 41):
        assert len(read(stream(play, number))) >= 2


@shown("local")
def test_a_local_configuration(play: Replay) -> None:
    """Who is told that nobody else configures it, tells how it is: rules like those from elsewhere, and its flags."""
    (told,) = play.ends[0].controls(LocalConfiguration)
    config = json.loads(told.config)
    assert set(config) == {"__configuration_flags", "ingress", "warp-routing"}
    assert config["ingress"] == [{"service": "http://127.83.0.1:8001", "originRequest": {}}]
    assert config["__configuration_flags"]["protocol"] == play.transport
    assert said(play)[4].method == 2
