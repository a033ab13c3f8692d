"""Connections that end by themselves: graceful closes, and resets that close what was finished (D2, D6, D7)."""

from __future__ import annotations

from halfopen.testing.conversation import framed
from halfopen.testing.packets import FIN
from halfopen.testing.payloads import http_answer, http_request
from halfopen.testing.pcap import Frame
from halfopen.testing.play import Play, receive, reset
from scenes import asked, drawn, exchange, real, talk

REQUEST = http_request("endings.example")


@real(port=80)
def graceful_client_first(play: Play) -> None:
    """A request and its answer; the client closes, then the server."""
    client, server = exchange(play, REQUEST)
    client.close()
    play.arrived(count=5)
    server.close()
    play.arrived(count=6)


@real(port=80)
def graceful_server_first(play: Play) -> None:
    """A request and its answer; the server closes, then the client."""
    client, server = exchange(play, REQUEST)
    server.close()
    play.arrived(count=5)
    client.close()
    play.arrived(FIN)


@drawn()
def graceful_crossing() -> list[Frame]:
    """Synthesised: two kernels cannot be told to close in the same instant. Both FINs cross."""
    c = talk(port=80).open().data(REQUEST).reply(http_answer()).ack()
    at_once = c.now
    c.fin().at(at_once).server_fin(ack=c.client.next - 1).ack().reply()
    return framed(c)


@real(port=80)
def half_close(play: Play) -> None:
    """The client closes its direction after the request; the server answers into the half-closed connection."""
    client, server = asked(play, REQUEST)
    client.shutdown(1)
    play.arrived(count=4)
    server.sendall(http_answer())
    receive(client, len(http_answer()))
    server.close()
    play.arrived(count=6)


@real(port=80)
def fin_then_rst(play: Play) -> None:
    """The client closes after the request; the answer then finds nobody and is met with a RST."""
    client, server = asked(play, REQUEST)
    client.close()
    play.arrived(count=4)
    server.sendall(http_answer())
    play.arrived(count=5)


@real(port=80)
def server_fin_then_rst(play: Play) -> None:
    """A request and its answer; the server closes, the client answers its FIN with a RST."""
    client, server = exchange(play, REQUEST)
    server.close()
    play.arrived(count=5)
    reset(client)
    play.arrived(count=6)


@real(port=80)
def unread_answer(play: Play) -> None:
    """The client closes without reading the answer it has acknowledged: the kernel sends a RST."""
    client, server = asked(play, REQUEST)
    server.sendall(http_answer())
    play.arrived(count=4)
    client.close()
    play.arrived(count=5)


@real()
def handshake_then_fin(play: Play) -> None:
    """A handshake, then both ends close: a pre-connect nobody needed."""
    client, server = play.open()
    client.close()
    server.close()
    play.arrived(count=4)


@real(port=80)
def later_then_silence(play: Play) -> None:
    """Two requests, then the middlebox drops everything; the server repeats its second answer."""
    client, server = exchange(play, REQUEST)
    client.sendall(REQUEST)
    receive(server, len(REQUEST))
    play.cut()
    server.sendall(http_answer())
    play.sleep(12)
    play.tick()


@real(port=80)
def mid_stream(play: Play) -> None:
    """The recording begins after the handshake and sees one request and the closes."""
    client, server = play.open()
    play.sleep(0.1)
    play.from_now()
    client.sendall(REQUEST)
    receive(server, len(REQUEST))
    client.close()
    server.close()
    play.arrived(FIN)


@drawn()
def lone_rst() -> list[Frame]:
    """Synthesised: a single RST without any connection, as scanners and backscatter send."""
    return framed(talk().rst())


@drawn()
def backscatter() -> list[Frame]:
    """Synthesised: a SYN-ACK and a RST+ACK that answer spoofed SYNs nobody here sent."""
    one, two = talk(0), talk(1)
    one.send(one.client, 0x12, seq=77, ack=99)
    two.send(two.client, 0x14, seq=0, ack=99)
    return framed(one, two)
