"""Scenarios of connections: how they are registered, configured, disturbed, and left."""

from __future__ import annotations

from typing import Final

from halfopen.tunnelwire.http2.events import ControlEnded, Lost
from halfopen.tunnelwire.rpc.edge_control import LocalConfiguration, RegistrationAsked, Unregistered
from halfopen.tunnelwire.rpc.methods import REGISTER_UDP_SESSION, RegisterUdpSession
from halfopen.tunnelwire.rpc.vat import Aborted
from tests.tunnelwire.recording.ends import EdgeEnd
from tests.tunnelwire.recording.exchanges import CONFIG, get, ready
from tests.tunnelwire.recording.origin import HOST, HTTP_PORT
from tests.tunnelwire.recording.play import Play
from tests.tunnelwire.recording.scenario import scenario

_ONE: Final = "our connector does not come again by itself"
_PROCESS: Final = "it is about what becomes of the process"


@scenario()
async def configurations(play: Play) -> None:
    """Configurations: none yet, one, one of the same version, one that is wrong, one of nothing, and a good one again."""
    edge = await play.connection()
    await edge.register()
    await edge.over(edge.ask(get(b"/")))
    await edge.configure(3, CONFIG)
    await edge.over(edge.ask(get(b"/")))
    await edge.configure(3, b'{"ingress":[]}')
    await edge.configure(1, b'{"ingress":[]}')
    await edge.over(edge.ask(get(b"/")))
    await edge.configure(4, b'{"ingress":[{"hostname":"app.example","service":"http_status:418"}]}')
    await edge.over(edge.ask(get(b"/")))
    await edge.configure(5, b"{}")
    await edge.over(edge.ask(get(b"/")))
    await edge.configure(6, CONFIG)
    await edge.over(edge.ask(get(b"/")))


@scenario(options=("--url", f"http://{HOST}:{HTTP_PORT}"))
async def local(play: Play) -> None:
    """A tunnel that is configured where the connector is."""
    edge = await play.connection()
    await edge.register(remotely_managed=False)
    await edge.heard(LocalConfiguration)
    await edge.over(edge.ask(get(b"/")))


@scenario()
async def leaves(play: Play) -> None:
    """The connector leaves while a request is under way; another is asked, then the edge closes."""
    edge = await ready(play)
    stream = edge.ask(get(b"/waits"))
    await edge.came(stream, 5)
    await play.leave()
    await edge.heard(Unregistered)
    await edge.heard(Aborted)
    if play.transport == "http2":
        await edge.heard(ControlEnded)
    await play.note("ready")
    await edge.over(edge.ask(get(b"/")))
    edge.give_up(stream)
    await play.until(lambda: len(play.saw) == 2)
    edge.close()
    await play.note("exit")


@scenario(alone=_PROCESS)
async def leaves_late(play: Play) -> None:
    """The connector leaves, and the edge does not close: the connector waits for its time of grace."""
    edge = await ready(play)
    await play.leave()
    await edge.heard(Unregistered)
    await play.note("exit")
    await play.until(lambda: edge.closed)


async def _goes_on(play: Play, edge: EdgeEnd) -> None:
    """What the connector is, and that it answers before and after it says so."""
    await edge.over(edge.ask(get(b"/")))
    await play.note("running")
    await play.note("ready")
    await edge.over(edge.ask(get(b"/")))


@scenario()
async def control_broken_off(play: Play) -> None:
    """The edge breaks off the control stream."""
    edge = await ready(play)
    edge.reset_control()
    await _goes_on(play, edge)


@scenario()
async def control_ended(play: Play) -> None:
    """The edge ends its part of the control stream."""
    edge = await ready(play)
    edge.end_control()
    await _goes_on(play, edge)


@scenario(transports=("http2",), alone="our connector takes it for the end")
async def goodbye(play: Play) -> None:
    """A GOAWAY of the edge."""
    await ready(play)
    edge = await play.http2()
    edge.say_goodbye()
    await edge.heard(Lost)
    await play.note("running")
    await play.note("ready")


@scenario(alone=_ONE)
async def closed(play: Play) -> None:
    """The edge closes the connection, twice; over QUIC with a code and with another."""
    first = await ready(play)
    first.close()
    second = await play.connection(1)
    await second.register()
    second.close(7)
    third = await play.connection(2)
    await third.heard(RegistrationAsked)


@scenario(transports=("http2",), preface=False, alone="it takes ten seconds")
async def no_preface(play: Play) -> None:
    """An edge that says nothing at all."""
    edge = await play.connection()
    await play.until(lambda: edge.closed)
    await play.note("exit")


@scenario(transports=("quic",), alone=_ONE)
async def silence(play: Play) -> None:
    """An edge that neither sends nor hears anything for seven seconds."""
    await ready(play)
    await play.fall_silent(7)
    again = await play.connection(1)
    await again.register()
    await again.over(again.ask(get(b"/")))


@scenario(transports=("quic",), datagrams=False)
async def no_datagrams(play: Play) -> None:
    """An edge that takes no datagrams."""
    edge = await ready(play)
    await edge.over(edge.ask(get(b"/")))


@scenario(transports=("quic",), alone="our connector knows no UDP")
async def flow(play: Play) -> None:
    """A flow of UDP that nobody uses: its end is told on a stream of the connector's own."""
    await ready(play)
    edge = await play.quic()
    asked = RegisterUdpSession(bytes(16), bytes([127, 83, 0, 1]), 8_001, 500_000_000)
    stream = edge.call(REGISTER_UDP_SESSION, asked)
    await edge.answered(stream)
    await edge.until(lambda: edge.replies(4))


async def _refused(play: Play, cause: str) -> None:
    """What becomes of a connector whose first connection was refused, and whether it says why."""
    edge = await play.connection()
    await edge.until(lambda: edge.closed or edge.controls(Aborted))
    if play.transport == "http2":
        edge.close()
        await play.note("exit")
    else:
        again = await play.connection(1)
        await again.heard(RegistrationAsked)
        await play.note("ready")
    await play.logged(cause)


@scenario(alone=_PROCESS)
async def refused(play: Play) -> None:
    """A refusal."""
    await (await play.connection()).refuse("not today")
    await _refused(play, "not today")


@scenario(alone=_PROCESS)
async def refused_for_now(play: Play) -> None:
    """A refusal that says that it may be tried again."""
    await (await play.connection()).refuse("not today", retry=True)
    await _refused(play, "not today")


@scenario(alone=_PROCESS)
async def failed(play: Play) -> None:
    """An exception in the place of an answer."""
    await (await play.connection()).fail("out of order")
    await _refused(play, "out of order")


@scenario(alone=_PROCESS)
async def not_answered(play: Play) -> None:
    """No answer."""
    await (await play.connection()).heard(RegistrationAsked)
    await _refused(play, "context deadline exceeded")


async def _tried_again(play: Play, cause: str) -> None:
    edge = await play.connection()
    await edge.refuse(cause)
    await edge.until(lambda: edge.closed or edge.controls(Aborted))
    if play.transport == "http2":
        edge.close()
    again = await play.connection(1)
    await again.register()
    await again.configure(1, CONFIG)
    await play.logged(cause)
    await play.logged("trying another address")


@scenario(alone=_ONE)
async def unauthorized(play: Play) -> None:
    """A refusal with the word that makes connectors try for ever."""
    await _tried_again(play, "Unauthorized: Invalid tunnel secret")


@scenario(alone=_ONE)
async def duplicate(play: Play) -> None:
    """A refusal because the connection is there already."""
    await _tried_again(play, "EDUPCONN")


@scenario(transports=("http2",), alone=_PROCESS)
async def refused_and_kept(play: Play) -> None:
    """A refusal after which the edge does not close."""
    edge = await play.connection()
    await edge.refuse("Unauthorized: not you")
    await play.note("running")
    await play.note("ready")
    assert not edge.closed
    assert len(play.ends) == 1
