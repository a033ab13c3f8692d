"""What counts as data, and how often it was pushed (D4, D5, D6)."""

from __future__ import annotations

from socket import socket

from halfopen.model import SECOND as NS
from halfopen.testing.conversation import START, framed
from halfopen.testing.packets import ACK, FIN, FIN_ACK, PSH, PSH_ACK, RST, RST_ACK, SYN
from halfopen.testing.payloads import client_hello, http_answer, http_request
from halfopen.testing.pcap import Frame
from halfopen.testing.play import Play, receive, reset
from scenes import asked, drawn, real, talk

HELLO = client_hello("stages.example")
LONG_HELLO = client_hello("long.stages.example", post_quantum=True)
SPLIT_NAME = client_hello("split.stages.example", post_quantum=True, name_last=True)
FIRST, SECOND = http_request("first.example"), http_request("second.example", path="/2")


def two_segments_swapped(play: Play, frames: list[Frame]) -> list[Frame]:
    """The two longest frames change places, their time stamps stay."""
    first, second = sorted(sorted(range(len(frames)), key=lambda i: -len(frames[i].data))[:2])
    frames[first], frames[second] = (
        Frame(frames[first].ts, frames[second].data),
        Frame(frames[second].ts, frames[first].data),
    )
    return frames


def _split_hello(play: Play) -> None:
    asked(play, LONG_HELLO)
    play.inject(RST, ip_id=40000)
    play.arrived(RST)


@real()
def hello_split(play: Play) -> None:
    """A post-quantum ClientHello in two segments, the first without PSH; then the middlebox sends a RST."""
    _split_hello(play)


@real(keep=two_segments_swapped)
def hello_split_swapped(play: Play) -> None:
    """As hello_split, and the two segments of the real recording change places."""
    _split_hello(play)


@real(keep=two_segments_swapped)
def hello_split_name_last(play: Play) -> None:
    """As hello_split_swapped; the server name stands in the second segment."""
    asked(play, SPLIT_NAME)
    play.inject(RST, ip_id=40000)
    play.arrived(RST)


@drawn()
def hello_first_half() -> list[Frame]:
    """Synthesised: only the first segment of a ClientHello arrives, without PSH; the server acknowledges it; then a RST."""
    c = talk().open().data(LONG_HELLO[:1448], psh=False).reply().rst()
    return framed(c)


@real(port=80)
def pushes_resent_as_one(play: Play) -> None:
    """Two requests the server's kernel does not hear; the client's kernel sends both again in one segment; then a RST."""
    client, _ = play.open()
    play.deafen()
    client.sendall(FIRST)
    play.arrived(PSH)
    client.sendall(SECOND)
    play.arrived(PSH, length=len(FIRST + SECOND))
    play.cut()
    play.inject(RST, ip_id=0)
    play.arrived(RST)


@drawn()
def push_resent_in_two() -> list[Frame]:
    """Synthesised: one request resent in two segments of another size, PSH on the last; then a RST."""
    c = talk(port=80).open().data(FIRST)
    c.wait(0.3).data(FIRST[:20], psh=False, seq=c.client.next - len(FIRST))
    c.data(FIRST[20:], seq=c.client.next - len(FIRST) + 20).reply().rst()
    return framed(c)


@drawn()
def data_beyond_push() -> list[Frame]:
    """Synthesised: a pushed request, then data without PSH behind it; then a RST."""
    return framed(talk(port=80).open().data(FIRST).data(SECOND, psh=False).reply().rst())


@drawn()
def data_without_push() -> list[Frame]:
    """Synthesised: some stacks never set PSH. One request without it, then a RST."""
    return framed(talk(port=80).open().data(FIRST, psh=False).reply().rst())


@drawn()
def rst_overtakes_data() -> list[Frame]:
    """Synthesised: the network delivers the RST before the data it follows."""
    c = talk(port=80).open()
    c.rst(seq=c.client.next + len(FIRST)).data(FIRST)
    return framed(c)


@drawn()
def data_after_rst() -> list[Frame]:
    """Synthesised: an injected RST at the next number; the client's own request arrives after it."""
    return framed(talk(port=80).open().rst(ttl=99, ip_id=7).data(FIRST))


@drawn()
def keepalive_probe_first() -> list[Frame]:
    """Synthesised: Linux probes without a byte, other stacks send one at the ISN. A probe, its answer, a RST."""
    c = talk().open()
    return framed(c.data(b"\0", psh=False, seq=c.client.isn).reply().rst())


@drawn()
def empty_push_then_rst() -> list[Frame]:
    """Synthesised: a PSH without data, then a RST."""
    c = talk().open()
    return framed(c.send(c.client, PSH_ACK).reply().rst())


@drawn()
def empty_push_on_fin_then_rst() -> list[Frame]:
    """Synthesised: a FIN with PSH and without data, then a RST."""
    c = talk().open()
    return framed(c.send(c.client, FIN_ACK | PSH).reply().rst())


@drawn()
def handshake_never_acked() -> list[Frame]:
    """Synthesised: the SYN and the SYN-ACK come twice, an ACK never; then a RST."""
    return framed(talk().syn().syn_ack().wait(1).syn().syn_ack().rst())


@real()
def fast_open_taken(play: Play) -> None:
    """TCP Fast Open with a cookie of an earlier visit: the ClientHello comes in the SYN; then the middlebox sends a RST."""
    with play.listen(tcp_fastopen=16) as listener:
        _fetch_cookie(play, listener)
        play.from_now()
        client = play.connect(tcp_fastopen_connect=1)
        client.sendall(HELLO)
        server = play.accept(listener)
    receive(server, len(HELLO))
    play.arrived(ACK)
    play.inject(RST, ip_id=0)
    play.arrived(RST)


@real()
def fast_open_refused(play: Play) -> None:
    """TCP Fast Open with a cookie, but the server no longer takes it: the ClientHello comes again; then a RST of the client."""
    with play.listen(tcp_fastopen=16) as listener:
        _fetch_cookie(play, listener)
    with play.listen() as listener:
        play.from_now()
        client = play.connect(tcp_fastopen_connect=1)
        client.sendall(HELLO)
        server = play.accept(listener)
    receive(server, len(HELLO))
    reset(client)
    play.arrived(RST)


@drawn()
def fast_open_refused_data_lost() -> list[Frame]:
    """Synthesised: the data of the SYN is not taken and its repetition gets lost; then a RST."""
    c = talk()
    c.send(c.client, SYN, payload=HELLO)
    c.client.next = c.server.seen = c.client.isn + 1
    return framed(c.syn_ack().ack().rst())


@drawn()
def fast_open_unanswered() -> list[Frame]:
    """Synthesised: a SYN with data, then silence."""
    c = talk()
    return framed(c.send(c.client, SYN, payload=HELLO).wait(11).tick())


@real()
def rst_with_payload(play: Play) -> None:
    """After the handshake the middlebox sends one RST+ACK with ten bytes of payload, IP-ID 1, TTL 58."""
    play.open()
    play.inject(RST_ACK, ip_id=1, ttl=58, payload=bytes([1, 2, 3, 4, 5, 6, 7, 8, 9, 0]))
    play.arrived(RST)


@drawn()
def wrap_in_hello() -> list[Frame]:
    """Synthesised to choose the number: the sequence numbers wrap inside the ClientHello; then a RST."""
    return framed(talk(client_isn=2**32 - 50, server_isn=2**32 - 1).open().data(HELLO).reply().rst())


@drawn()
def wrap_between_pushes() -> list[Frame]:
    """Synthesised to choose the number: the sequence numbers wrap between two requests; then a RST."""
    isn = 2**32 - 1 - len(FIRST)
    return framed(talk(port=80, client_isn=isn).open().data(FIRST).data(SECOND).reply().rst())


@drawn()
def later_both_kinds() -> list[Frame]:
    """Synthesised: two requests, then a RST and a RST+ACK."""
    return framed(talk(port=80).open().data(FIRST).data(SECOND).reply().rst().rst_ack())


@drawn()
def ack_both_kinds() -> list[Frame]:
    """Synthesised: a handshake, then a RST and a RST+ACK: a set that fits no signature."""
    return framed(talk().open().rst().rst_ack())


@drawn()
def reset_behind_data() -> list[Frame]:
    """Synthesised: an injector that missed the request: its RST stands at the number the request began with."""
    c = talk(port=80).open().data(FIRST).reply()
    return framed(c.rst(seq=c.client.next - len(FIRST), ttl=101, ip_id=64))


@drawn()
def all_out_of_order() -> list[Frame]:
    """Synthesised: the second request arrives before the first, the RST between them."""
    c = talk(port=80).open()
    first, second = c.client.next, c.client.next + len(FIRST)
    c.data(SECOND, seq=second).rst(seq=second + len(SECOND)).data(FIRST, seq=first)
    return framed(c)


@drawn()
def empty_push_after_data() -> list[Frame]:
    """Synthesised: a request, then a PSH without data, then a RST."""
    c = talk(port=80).open().data(FIRST).reply()
    return framed(c.send(c.client, PSH_ACK).reply().rst())


@drawn()
def push_resent_longer() -> list[Frame]:
    """Synthesised: a request lost behind the tap; resent together with the next in one segment; then a RST."""
    c = talk(port=80).open().data(FIRST).wait(0.3)
    c.data(FIRST + SECOND, seq=c.client.next - len(FIRST))
    c.client.next += len(SECOND)
    return framed(c.rst())


@drawn()
def push_on_fin_then_rst() -> list[Frame]:
    """Synthesised: the request comes with PSH and FIN in one packet, then a RST."""
    c = talk(port=80).open()
    return framed(c.send(c.client, FIN_ACK | PSH, payload=FIRST).reply().rst())


@drawn()
def keepalive_probe_after_data() -> list[Frame]:
    """Synthesised: other stacks than Linux probe with the last byte once more. A request, such a probe, a RST."""
    c = talk(port=80).open().data(FIRST).reply()
    return framed(c.wait(5).data(FIRST[-1:], seq=c.client.next - 1).reply().rst())


@drawn()
def server_speaks_first() -> list[Frame]:
    """Synthesised: the server greets, the client acknowledges and resets: no data of the client."""
    return framed(talk(port=25).open().reply(b"220 mail.example ready\r\n").ack().rst())


@drawn()
def mixed_shares() -> list[Frame]:
    """Synthesised to be countable: of five decided connections each stage gets one; a sixth is undecided."""
    one, two, three, four, five = (talk(n, start=START + n * 1000) for n in range(5))
    one.syn()
    two.open()
    three.open().data(HELLO).rst()
    four.open().data(FIRST).data(SECOND).reply().rst()
    five.open().data(FIRST).reply(http_answer()).ack().fin().server_fin().ack()
    unfinished = talk(5, start=START + 19 * NS).syn()
    clock = talk(6, start=START + 20 * NS).tick()
    return framed(one, two, three, four, five, unfinished, clock)


def _fetch_cookie(play: Play, listener: socket) -> None:
    client = play.connect(tcp_fastopen_connect=1)
    server = play.accept(listener)
    client.close()
    server.close()
    play.arrived(FIN)
    play.sleep(0.2)
