"""SYNs: repeated, odd, reused, and the ten packets (D2, D3, D8, D16; the scanners' marks)."""

from __future__ import annotations

from ipaddress import ip_address

from halfopen.model import SECOND as NS
from halfopen.model import Flag
from halfopen.testing import packets
from halfopen.testing.conversation import Conversation, framed
from halfopen.testing.packets import FIN, PSH, RST, SYN
from halfopen.testing.payloads import client_hello, http_answer, http_request
from halfopen.testing.pcap import Frame
from halfopen.testing.play import Play, receive, reset
from scenes import drawn, exchange, real, talk

HELLO = client_hello("reuse.example")
REQUEST = http_request("reuse.example")
PORT = 45000


@real()
def stale_challenge(play: Play) -> None:
    """The server still holds an old connection: it challenges the new SYN, the client resets the old one and repeats its SYN."""
    with play.listen() as listener:
        old = play.connect(port=PORT)
        play.accept(listener)
        play.sleep(0.2)
        play.cut()
        reset(old)
        play.mend()
        play.from_now()
        client = play.connect(port=PORT)
        server = play.accept(listener)
    client.sendall(REQUEST)
    receive(server, len(REQUEST))
    client.close()
    server.close()
    play.arrived(FIN)


@drawn()
def stale_challenge_then_silence() -> list[Frame]:
    """Synthesised, the packets as in stale_challenge: after the request the client falls silent."""
    return framed(_after_challenge().data(REQUEST).reply().wait(11).tick())


def _after_challenge(number: int = 5_000_000) -> Conversation:
    """A SYN challenged for an old connection whose server side stood at `number`; then the handshake."""
    c = talk().syn()
    c.send(c.server, packets.ACK, seq=number, ack=400_000_000).rst(seq=400_000_000, ip_id=0)
    return c.wait(1).syn().syn_ack().ack()


@drawn()
def stale_challenge_ahead_then_silence() -> list[Frame]:
    """Synthesised to choose the numbers: the old connection's server numbers lie ahead of the new one's; then a request and silence."""
    return framed(_after_challenge(1_000_000_000).data(REQUEST).reply().wait(11).tick())


@drawn()
def stale_challenge_then_idle() -> list[Frame]:
    """Synthesised to choose the numbers: as before, but the request is answered; 11 s of silence until the capture ends."""
    c = _after_challenge(1_000_000_000).data(REQUEST).reply(http_answer()).ack()
    return framed(c.wait(11).tick())


@drawn()
def stale_challenge_then_rst() -> list[Frame]:
    """Synthesised, the challenge as in stale_challenge: after the request a RST at the next number."""
    return framed(_after_challenge().data(REQUEST).reply().rst(ttl=99))


@drawn()
def stale_challenge_then_server_fin() -> list[Frame]:
    """Synthesised, the challenge as in stale_challenge: a finished exchange, the server's FIN, then the client's RST."""
    return framed(_after_challenge().data(REQUEST).reply(http_answer()).ack().server_fin().rst_ack())


@real()
def ten_syns(play: Play) -> None:
    """Ten SYNs within 35 s, none answered."""
    play.deafen()
    play.begin(tcp_syncnt=9)
    play.sleep(37)
    play.arrived(SYN, count=10)
    play.sleep(10)
    play.tick()


@real(port=80)
def ten_packets(play: Play) -> None:
    """Eight requests on one connection, all answered at once; then both ends close."""
    client, server = play.open()
    for _ in range(8):
        client.sendall(REQUEST)
        receive(server, len(REQUEST))
        server.sendall(http_answer())
        receive(client, len(http_answer()))
    client.close()
    server.close()
    play.arrived(FIN)


@real(port=80)
def ten_packets_then_rst(play: Play) -> None:
    """Eight requests on one connection, all answered at once; then the client closes with a RST."""
    client, server = play.open()
    for _ in range(8):
        client.sendall(REQUEST)
        receive(server, len(REQUEST))
        server.sendall(http_answer())
        receive(client, len(http_answer()))
    reset(client)
    play.arrived(RST)


@real()
def hello_thirteen_times(play: Play) -> None:
    """After the handshake the server no longer hears: the client sends its ClientHello thirteen times (needs Linux 6.15)."""
    client, _ = play.open(tcp_rto_max_ms=10_000)
    play.deafen()
    client.sendall(HELLO)
    play.sleep(62)
    play.arrived(PSH, count=13)
    play.cut()
    play.sleep(11)
    play.tick()


@drawn()
def syn_after_tenth() -> list[Frame]:
    """Synthesised: ten packets, then the network delivers the SYN once more, much too late."""
    c = talk(port=80).open()
    for _ in range(4):
        c.data(REQUEST).reply(http_answer()).ack()
    return framed(c.syn())


@real()
def replaced_at_once(play: Play) -> None:
    """An unanswered SYN, and half a second later another connection from the same port; then 11 s of silence."""
    play.deafen()
    play.begin(port=PORT).close()
    play.sleep(0.5)
    play.begin(port=PORT, tcp_syncnt=1).close()
    play.sleep(11)
    play.tick()


@real()
def replaced_after_20s(play: Play) -> None:
    """An unanswered SYN, and 20 s later another connection from the same port; then 11 s of silence."""
    play.deafen()
    play.begin(port=PORT).close()
    play.sleep(20)
    play.begin(port=PORT, tcp_syncnt=1).close()
    play.sleep(11)
    play.tick()


@real()
def reused_after_rst(play: Play) -> None:
    """A request cut by the client's RST; at once another connection from the same port, closed in peace."""
    with play.listen() as listener:
        client = play.connect(port=PORT)
        server = play.accept(listener)
        client.sendall(HELLO)
        receive(server, len(HELLO))
        reset(client)
        play.arrived(RST)
        client = play.connect(port=PORT)
        server = play.accept(listener)
    client.sendall(REQUEST)
    receive(server, len(REQUEST))
    client.close()
    server.close()
    play.arrived(FIN)


@drawn()
def late_after_rst() -> list[Frame]:
    """Synthesised: eleven seconds after a RST, data of the dead connection arrives."""
    return framed(talk().open().data(HELLO).rst().wait(11).tick().resend(HELLO))


@drawn()
def odd_syns() -> list[Frame]:
    """Synthesised: scanners send SYN+FIN+PSH+URG and SYN+RST, kernels do not."""
    one, two = talk(0), talk(1)
    one.send(one.client, SYN | FIN | PSH | Flag.URG)
    two.send(two.client, SYN | RST)
    return framed(one, two)


@real()
def ecn_syn(play: Play) -> None:
    """A client that offers ECN: its SYN carries ECE and CWR. A request, its answer, both ends close."""
    play.bed.client.run(f"ip route add {play.server[0]} via 10.77.1.1 features ecn")
    client, server = exchange(play, REQUEST)
    client.close()
    server.close()
    play.arrived(FIN)


@real(ipv6=True)
def syn_retransmitted(play: Play) -> None:
    """The first SYN-ACK gets lost; the SYN comes again after 1 s; then a request and a RST, over IPv6."""
    with play.listen() as listener:
        play.cut(up=False)
        client = play.begin()
        play.sent(SYN)
        play.mend(up=False)
        server = play.accept(listener)
    client.settimeout(10)
    play.arrived(count=3)
    client.sendall(REQUEST)
    receive(server, len(REQUEST))
    reset(client)
    play.arrived(RST)


@drawn()
def zmap() -> list[Frame]:
    """Synthesised: the SYN of ZMap before 4.1.0, and the RST of the scanner's kernel to the SYN-ACK."""
    c = talk(client_ttl=238)
    return framed(c.syn(ip_id=54321, window=65535, options=b"", dont_fragment=False).syn_ack().rst(ip_id=0))


@drawn()
def zmap_new() -> list[Frame]:
    """Synthesised: the SYN of ZMap since 4.2.0 with its defaults, unanswered."""
    options = packets.WINDOWS_SYN_OPTIONS
    c = talk(client_ttl=47).syn(ip_id=31337, window=65535, options=options, dont_fragment=False)
    return framed(c.wait(11).tick())


@drawn()
def windows_syn() -> list[Frame]:
    """Synthesised: a Windows client, whose SYN has ZMap's options but DF set."""
    options = packets.WINDOWS_SYN_OPTIONS
    return framed(talk(client_ttl=120).syn(ip_id=31337, window=65535, options=options).wait(11).tick())


@drawn()
def masscan() -> list[Frame]:
    """Synthesised: the SYN of masscan, its IP-ID made of the address, port and sequence number."""
    c = talk(client_isn=0x1234_5678)
    address = int(ip_address(c.server.end[0]))
    mark = (address ^ c.server.end[1] ^ c.client.isn) & 0xFFFF
    c.syn(ip_id=mark, window=1024, options=packets.MSS_1460, ttl=238, dont_fragment=False)
    return framed(c.wait(11).tick())


@drawn()
def mirai() -> list[Frame]:
    """Synthesised: the SYN of Mirai, its sequence number the server's address."""
    c = talk(client_isn=int(ip_address("203.0.113.200")), port=23)
    return framed(c.syn(options=b"", dont_fragment=False).wait(11).tick())


@drawn()
def replaced_answered_after_20s() -> list[Frame]:
    """Synthesised to keep it short: a request and its answer, 20 s of silence, then another connection on the same ports."""
    one = talk().open().data(REQUEST).reply(http_answer()).ack()
    two = talk(start=one.now + 20 * NS, client_isn=500_000_000).open().data(REQUEST).reply().rst()
    return framed(one, two)


@drawn()
def reused_after_ten_packets() -> list[Frame]:
    """Synthesised to keep it short: ten packets, and at once another connection on the same ports, reset after its request."""
    one = talk(port=80).open()
    for _ in range(4):
        one.data(REQUEST).reply(http_answer()).ack()
    two = talk(port=80, start=one.now + NS, client_isn=500_000_000).open().data(REQUEST).reply().rst()
    return framed(one, two)


@drawn()
def ten_packets_repeated_fast() -> list[Frame]:
    """Synthesised to choose the pace: the ClientHello eight times within 2 s, then 20 s of silence."""
    c = talk().open().data(HELLO)
    for _ in range(7):
        c.wait(0.25).resend(HELLO)
    return framed(c.wait(20).tick())


@drawn()
def retransmitting_then_recovered() -> list[Frame]:
    """Synthesised to choose the pace: the ClientHello eight times over 28 s; then the path recovers and the client goes on."""
    c = talk().open().data(HELLO)
    for _ in range(7):
        c.wait(4).resend(HELLO)
    return framed(c.reply(http_answer()).ack().data(REQUEST).reply().wait(20).tick())


@drawn()
def syn_with_psh_urg() -> list[Frame]:
    """Synthesised: a SYN with PSH and URG opens a connection, other flags do not matter."""
    c = talk()
    return framed(c.send(c.client, SYN | PSH | Flag.URG).wait(11).tick())


@drawn()
def rst_at_isn() -> list[Frame]:
    """Synthesised: a RST that repeats the SYN's own sequence number."""
    c = talk().syn().syn_ack()
    return framed(c.rst(seq=c.client.isn))


@drawn()
def rst_within_reach() -> list[Frame]:
    """Synthesised: after a request a RST nearly 2^20 ahead."""
    c = talk().open().data(HELLO).reply()
    return framed(c.rst(seq=c.client.next + 2**20 - 10))


@drawn()
def rst_beyond_reach() -> list[Frame]:
    """Synthesised: after a request a RST more than 2^20 ahead, then silence."""
    c = talk().open().data(HELLO).reply()
    return framed(c.rst(seq=c.client.next + 2**20 + 10).wait(11).tick())


@drawn()
def reused_after_fin() -> list[Frame]:
    """Synthesised to keep it short: a graceful close, and 2 s later another connection on the same ports, reset after its request."""
    one = talk().open().data(REQUEST).reply(http_answer()).ack().fin().server_fin().ack()
    two = talk(start=one.now + 2 * NS, client_isn=500_000_000).open().data(REQUEST).reply().rst()
    return framed(one, two)


@drawn()
def old_syn_ack_after_reuse() -> list[Frame]:
    """Synthesised to choose the numbers: the SYN-ACK to an abandoned SYN is repeated into the next connection on its ports."""
    one = talk(server_isn=2_000_000_000).syn().syn_ack()
    two = talk(start=one.now + NS, client_isn=500_000_000).syn()
    one.at(two.now).syn_ack()
    two.at(one.now).rst(seq=one.client.next, ip_id=0).syn_ack().ack().data(REQUEST).reply().wait(11).tick()
    return framed(one, two)
