"""Each of the 19 signatures once, made by a middlebox that cuts or injects, with the marks of known injectors."""

from __future__ import annotations

from halfopen.testing.packets import RST, RST_ACK, SYN
from halfopen.testing.payloads import client_hello, http_request
from halfopen.testing.play import Play, receive
from scenes import asked, real

HELLO = client_hello("signatures.example")
FIRST, SECOND = http_request("signatures.example"), http_request("signatures.example", path="/2")


def only_syn(play: Play) -> None:
    """One SYN has arrived and been answered; nothing more comes through in either direction."""
    with play.listen():
        play.cut(up=False)
        play.begin()
        play.arrived(SYN)
        play.cut(down=False)


def handshake(play: Play) -> None:
    """The handshake is done; the middlebox drops what the client says next."""
    client, _ = play.open()
    play.cut()
    client.sendall(HELLO)


def hello(play: Play) -> None:
    """The ClientHello has arrived; nothing more comes through."""
    asked(play, HELLO)
    play.cut()


def two_requests(play: Play) -> None:
    """Two requests have arrived; nothing more comes through."""
    client, server = asked(play, FIRST)
    client.sendall(SECOND)
    receive(server, len(SECOND))
    play.cut()


@real()
def syn_timeout(play: Play) -> None:
    """A SYN, then 11 s of silence; the server repeats its SYN-ACK."""
    only_syn(play)
    play.sleep(11)
    play.tick()


@real()
def syn_rst(play: Play) -> None:
    """A SYN, then one injected RST."""
    only_syn(play)
    play.inject(RST, ip_id=4711, ttl=118)
    play.arrived(RST)


@real()
def syn_rstack(play: Play) -> None:
    """A SYN, then one injected RST+ACK, IP-ID 0x9920, TTL 248."""
    only_syn(play)
    play.inject(RST_ACK, ack=play.sent(SYN).next, ip_id=0x9920, ttl=248, dont_fragment=False)
    play.arrived(RST)


@real()
def syn_rst_rstack(play: Play) -> None:
    """A SYN, then an injected RST and an injected RST+ACK."""
    only_syn(play)
    play.inject(RST, ip_id=100)
    play.inject(RST_ACK, ack=play.sent(SYN).next, ip_id=101)
    play.arrived(RST, count=2)


@real()
def ack_timeout(play: Play) -> None:
    """A handshake; the ClientHello gets lost; 11 s of silence."""
    handshake(play)
    play.sleep(11)
    play.tick()


@real()
def ack_rst(play: Play) -> None:
    """A handshake; the ClientHello gets lost; one injected RST."""
    handshake(play)
    play.inject(RST, ip_id=0, ttl=80, dont_fragment=False)
    play.arrived(RST)


@real()
def ack_rsts(play: Play) -> None:
    """A handshake; the ClientHello gets lost; two injected RSTs, the second 12503 ahead, TTL 30."""
    handshake(play)
    play.inject(RST, ip_id=2004, ttl=30)
    play.inject(RST, ahead=12503, ip_id=2005, ttl=30)
    play.arrived(RST, count=2)


@real()
def ack_rstack(play: Play) -> None:
    """A handshake; the ClientHello gets lost; one injected RST+ACK, IP-ID 1, TTL 58."""
    handshake(play)
    play.inject(RST_ACK, ip_id=1, ttl=58)
    play.arrived(RST)


@real()
def ack_rstacks(play: Play) -> None:
    """A handshake; the ClientHello gets lost; three injected RST+ACK with rising TTL and window."""
    handshake(play)
    for i in range(3):
        play.inject(RST_ACK, ip_id=700 + 11 * i, ttl=90 + i, window=80 + i)
    play.arrived(RST, count=3)


@real()
def psh_timeout(play: Play) -> None:
    """The ClientHello arrives; 11 s of silence."""
    hello(play)
    play.sleep(11)
    play.tick()


@real()
def psh_rst(play: Play) -> None:
    """The ClientHello arrives; one injected RST, IP-ID 0, DF clear, TTL 80."""
    hello(play)
    play.inject(RST, ip_id=0, ttl=80, dont_fragment=False)
    play.arrived(RST)


@real()
def psh_rstack(play: Play) -> None:
    """The ClientHello arrives; one injected RST+ACK, IP-ID 0x9916, DF clear, TTL 248."""
    hello(play)
    play.inject(RST_ACK, ip_id=0x9916, ttl=248, dont_fragment=False)
    play.arrived(RST)


@real()
def psh_rst_rstack(play: Play) -> None:
    """The ClientHello arrives; one injected RST with IP-ID 0 and three RST+ACK with other IP-IDs and TTLs."""
    hello(play)
    play.inject(RST, ip_id=0, ttl=70, dont_fragment=False)
    for i, ttl in enumerate((150, 151, 149)):
        play.inject(RST_ACK, ip_id=20_000 + 777 * i, ttl=ttl)
    play.arrived(RST, count=4)


@real()
def psh_rstacks(play: Play) -> None:
    """The ClientHello arrives; three injected RST+ACK, TTL and window rising by one."""
    hello(play)
    for i in range(3):
        play.inject(RST_ACK, ip_id=30_000 + i, ttl=90 + i, window=80 + i)
    play.arrived(RST, count=3)


@real()
def psh_rsts_same_ack(play: Play) -> None:
    """The ClientHello arrives; two injected RSTs that carry the same ack number."""
    hello(play)
    for i in range(2):
        play.inject(RST, ack=123_456_789, ip_id=500 + i)
    play.arrived(RST, count=2)


@real()
def psh_rsts_other_acks(play: Play) -> None:
    """The ClientHello arrives; three injected RSTs with different ack numbers, none zero."""
    hello(play)
    for i in range(3):
        play.inject(RST, ack=123_456_789 + 1460 * i, ip_id=500 + i)
    play.arrived(RST, count=3)


@real()
def psh_rsts_zero_ack(play: Play) -> None:
    """The ClientHello arrives; two injected RSTs, one with an ack number, one with zero."""
    hello(play)
    play.inject(RST, ack=123_456_789, ip_id=500)
    play.inject(RST, ip_id=501)
    play.arrived(RST, count=2)


@real(port=80)
def data_rst(play: Play) -> None:
    """Two requests arrive; two injected RSTs."""
    two_requests(play)
    play.inject(RST, ip_id=9000, ttl=200)
    play.inject(RST, ip_id=9001, ttl=200)
    play.arrived(RST, count=2)


@real(port=80)
def data_rstack(play: Play) -> None:
    """Two requests arrive; one injected RST+ACK with 22 zero bytes of payload."""
    two_requests(play)
    play.inject(RST_ACK, ip_id=9000, payload=bytes(22))
    play.arrived(RST)
