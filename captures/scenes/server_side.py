"""What our own server, or a router, does to a connection (D9)."""

from __future__ import annotations

from halfopen.testing.conversation import framed
from halfopen.testing.packets import RST, SYN
from halfopen.testing.payloads import client_hello, http_answer, http_request
from halfopen.testing.pcap import Frame
from halfopen.testing.play import Play, keepalive, receive, reset
from scenes import asked, drawn, exchange, real, talk

REQUEST = http_request("server.example")


@real()
def server_fin_acked(play: Play) -> None:
    """A request and its answer; the server closes, the client acknowledges that and then says nothing for 11 s."""
    _, server = exchange(play, REQUEST)
    server.close()
    play.arrived(count=5)
    play.sleep(11)
    play.tick()


@real()
def server_fin_lost(play: Play) -> None:
    """A request and its answer, then the middlebox drops everything; the server closes and repeats its FIN."""
    _, server = exchange(play, REQUEST)
    play.cut()
    server.close()
    play.sleep(12)
    play.tick()


@real()
def refused(play: Play) -> None:
    """A SYN to a port where nobody listens."""
    play.begin()
    play.sent(RST)


@real()
def server_reset_at_end(play: Play) -> None:
    """A request; the server closes with a RST."""
    _, server = asked(play, REQUEST)
    reset(server)
    play.sent(RST)


@real()
def refused_then_accepted(play: Play) -> None:
    """The RST to the first SYN gets lost; the repeated SYN finds a listener; a request; a RST of the client."""
    play.cut(up=False)
    client = play.begin()
    play.sent(RST)
    with play.listen() as listener:
        play.mend(up=False)
        server = play.accept(listener)
    client.settimeout(10)
    play.arrived(count=3)
    client.sendall(REQUEST)
    receive(server, len(REQUEST))
    reset(client)
    play.arrived(RST)


@real()
def syn_ack_given_up(play: Play) -> None:
    """One SYN gets through, no SYN-ACK does; the server repeats it five times and forgets."""
    with play.listen():
        play.cut(up=False)
        play.begin()
        play.arrived(SYN)
        play.cut(down=False)
        play.sleep(66)
    play.tick()


@drawn()
def syn_ack_given_up_with_rst() -> list[Frame]:
    """Synthesised: Linux gives up in silence, other stacks send a RST when they do."""
    c = talk().syn().syn_ack()
    for pause in (1, 2, 4, 8, 16):
        c.wait(pause).syn_ack()
    return framed(c.wait(16).server_rst_ack())


@real(near=True)
def foreign_rsts(play: Play) -> None:
    """After the ClientHello the middlebox sends the client two RSTs in the server's name, the second 12503 ahead."""
    asked(play, client_hello("server.example"))
    play.inject_back(RST, ip_id=4004)
    play.inject_back(RST, ahead=12503, ip_id=4005)


@real()
def lost_close_then_rst(play: Play) -> None:
    """A request and its answer; the client's FIN gets lost; after 11 s the server closes with a RST."""
    client, server = exchange(play, REQUEST)
    play.cut()
    client.close()
    play.sleep(11)
    reset(server)
    play.sent(RST)


@real()
def keepalive_given_up_answered(play: Play) -> None:
    """A request and its answer; the path dies; the server's keep-alive probes go unanswered and it sends a RST."""
    _, server = exchange(play, REQUEST)
    play.cut()
    keepalive(server, 11, 1, 3)
    play.sleep(15)
    play.sent(RST)


@real()
def keepalive_given_up(play: Play) -> None:
    """A request without an answer; the path dies; the server's keep-alive probes go unanswered and it sends a RST."""
    _, server = asked(play, REQUEST)
    play.cut()
    keepalive(server, 11, 1, 3)
    play.sleep(15)
    play.sent(RST)


@real(near=True)
def icmp_from_router(play: Play) -> None:
    """The middlebox answers the SYN with ICMP host unreachable; recorded on the client's side of it."""
    play.reject(play.bed.middle)
    client = play.begin()
    play.sleep(1.5)
    client.close()
    play.sleep(11)
    play.tick()


@real()
def icmp_from_server(play: Play) -> None:
    """The server's own packet filter answers the SYN with ICMP port unreachable."""
    play.reject(play.bed.server)
    play.begin()
    play.sleep(1)


@drawn()
def icmp_from_router_ipv6() -> list[Frame]:
    """Synthesised: as icmp_from_router, over IPv6 and with the SYN repeated."""
    c = talk(ipv6=True).syn()
    c.unreachable("2001:db8:1::1").wait(1).syn().unreachable("2001:db8:1::1")
    return framed(c.wait(11).tick())


@real()
def syn_unanswered(play: Play) -> None:
    """SYNs that the server's packet filter drops: it never says anything."""
    play.deafen()
    client = play.begin()
    play.arrived(SYN, count=2)
    client.close()
    play.sleep(11)
    play.tick()


@real()
def rst_echo(play: Play) -> None:
    """The client dies unheard; a RST 100 ahead provokes a challenge ACK, which the client's kernel answers with a RST."""
    client, _ = asked(play, client_hello("server.example"))
    play.cut()
    reset(client)
    play.mend()
    play.inject(RST, ahead=100, ip_id=500)
    play.arrived(RST, count=2)


@drawn()
def server_rst_both() -> list[Frame]:
    """Synthesised: both ends reset at once; the client's own RST decides."""
    return framed(talk().open().data(REQUEST).reply().server_rst().rst_ack())


@drawn()
def refused_thrice() -> list[Frame]:
    """Synthesised: three SYNs, each refused, as impatient clients do."""
    c = talk()
    for _ in range(3):
        c.syn().server_rst_ack(seq=0).wait(0.5)
    return framed(c)


@real()
def server_kicks_idle(play: Play) -> None:
    """A handshake and 11 s of silence; then the server closes with a RST."""
    _, server = play.open()
    play.sleep(11)
    reset(server)
    play.sent(RST)


@real()
def server_closes_idle(play: Play) -> None:
    """A handshake and 11 s of silence; the server closes, the client acknowledges that and says no more for 11 s."""
    _, server = play.open()
    play.sleep(11)
    server.close()
    play.sleep(11)
    play.tick()


@drawn()
def server_rsts_far_apart() -> list[Frame]:
    """Synthesised: two RSTs in the server's name, the second more than 2^20 ahead: no sign of an injector."""
    c = talk().open().data(REQUEST).reply().server_rst()
    return framed(c.server_rst(seq=c.server.next + 2**20 + 1000))


@drawn()
def server_rsts_behind() -> list[Frame]:
    """Synthesised: a server that has forgotten the connection answers two packets, each at the number it acknowledged."""
    c = talk().open().data(REQUEST).reply(http_answer()).ack().data(REQUEST).data(REQUEST)
    return framed(c.server_rst(seq=c.server.isn + 1).server_rst())


@drawn()
def one_foreign_rst() -> list[Frame]:
    """Synthesised: one RST ahead of all the server sent; alone it could be the server's after lost packets."""
    c = talk().open().data(REQUEST).reply()
    return framed(c.server_rst(seq=c.server.next + 12503))


@drawn()
def icmp_then_accepted() -> list[Frame]:
    """Synthesised: the server's ICMP unreachable to the first SYN, then it accepts; a request and a RST."""
    c = talk().syn()
    c.unreachable(c.server.end[0], code=3).wait(1).syn().syn_ack().ack().data(REQUEST).reply().rst()
    return framed(c)


@drawn()
def foreign_rsts_after_syn() -> list[Frame]:
    """Synthesised: a SYN and its answer; two RSTs in the server's name, the second 12503 ahead, and no ACK of the client."""
    c = talk().syn().syn_ack().server_rst()
    return framed(c.server_rst(seq=c.server.next + 12503))
