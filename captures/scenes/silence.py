"""When is silence a timeout (D1, D17)."""

from __future__ import annotations

from halfopen.model import SECOND
from halfopen.testing.conversation import START, framed
from halfopen.testing.links import LINKS
from halfopen.testing.payloads import client_hello, http_answer, http_request
from halfopen.testing.pcap import Frame
from halfopen.testing.play import Play, receive, reset
from halfopen.testing.recorder import seen
from scenes import asked, drawn, exchange, real, talk

HELLO = client_hello("silence.example")
GREETING = b"220 mail.example ready\r\n"


def inbound(play: Play, frames: list[Frame]) -> list[Frame]:
    """What a one-way tap sees: the client's packets, and the datagram that moves the clock."""
    return [f for f in frames if (header := seen(f.data)) is None or header.dst == play.server]


@real()
def pause_then_fin(play: Play) -> None:
    """A request and its answer, 100 s of keep-alive pause, then both ends close."""
    client, server = exchange(play)
    play.sleep(100)
    client.close()
    server.close()
    play.arrived(count=6)


@real()
def pause_then_rst(play: Play) -> None:
    """A request and its answer, 110 s of pause, then the client closes with a RST."""
    client, _ = exchange(play)
    play.sleep(110)
    reset(client)
    play.arrived(count=5)


@real()
def idle_then_rst(play: Play) -> None:
    """A request that the server never answers; after 60 s the client closes with a RST."""
    client, _ = asked(play)
    play.sleep(60)
    reset(client)
    play.arrived(count=4)


@real()
def answered_then_idle(play: Play) -> None:
    """A request and its answer, then 30 s of silence until the capture ends."""
    exchange(play)
    play.sleep(30)
    play.tick()


@real(keep=inbound)
def one_way(play: Play) -> None:
    """A request, then silence of 11 s; only the client's packets are kept, as a one-way tap would."""
    asked(play, HELLO)
    play.cut()
    play.sleep(11)
    play.tick()


@real()
def answer_repeated(play: Play) -> None:
    """After the request the middlebox drops everything; the server repeats its answer for 12 s."""
    _, server = asked(play, HELLO)
    play.cut()
    server.sendall(http_answer())
    play.sleep(12)
    play.tick()


@real()
def first_data_dropped(play: Play) -> None:
    """The middlebox drops the ClientHello and everything after it."""
    client, _ = play.open()
    play.cut()
    client.sendall(HELLO)
    play.sleep(11)
    play.tick()


@drawn()
def silent_10s() -> list[Frame]:
    """Synthesised for exact time stamps: a handshake, and a last packet of the capture exactly 10 s later."""
    return framed(talk().open().at(START + 20_000_000 + 10 * SECOND).tick())


@drawn()
def silent_just_over_10s() -> list[Frame]:
    """Synthesised for exact time stamps: a handshake, and a last packet 10 s and 1 ns later."""
    return framed(talk().open().at(START + 20_000_000 + 10 * SECOND + 1).tick())


@drawn()
def copies_do_not_count() -> list[Frame]:
    """Synthesised for exact time stamps: the ACK is recorded twice, 50 ms apart; the clock ends 10.02 s after the first."""
    c = talk().open().wait(0.04).again()
    return framed(c.at(START + 20_000_000 + 10 * SECOND + 20_000_000).tick())


@drawn()
def answered_beyond_linger() -> list[Frame]:
    """Synthesised to save a quarter of an hour: a request, its answer acknowledged, 901 s of silence."""
    return framed(talk().open().data(HELLO).reply(http_answer()).ack().wait(901).tick())


@drawn()
def pause_within_linger() -> list[Frame]:
    """Synthesised to save a quarter of an hour: answered, 890 s of pause, then both ends close."""
    c = talk().open().data(HELLO).reply(http_answer()).ack().wait(890)
    return framed(c.fin().server_fin().ack())


@drawn()
def syn_again_after_60s() -> list[Frame]:
    """Synthesised to save time: a SYN, 60 s later the same SYN again, then silence."""
    return framed(talk().syn().wait(60).syn().wait(11).tick())


@drawn()
def clock_back() -> list[Frame]:
    """Synthesised: no kernel steps its clock for us. A handshake, then packets of another connection 20 s older."""
    first = talk(0).open()
    second = talk(1, start=START - 20 * SECOND).open()
    return framed(first) + framed(second)


@drawn()
def clock_back_within() -> list[Frame]:
    """Synthesised: no kernel steps its clock for us. The clock steps back by 20 s within one connection."""
    c = talk().open().wait(-20).data(HELLO).wait(11).tick()
    return _in_order_written(c.packets)


@drawn()
def clock_back_a_little() -> list[Frame]:
    """Synthesised: as merged captures have it, the data is stamped 5 s before the ACK it follows; then a RST."""
    c = talk().open().wait(-5).data(HELLO).wait(5).rst()
    return _in_order_written(c.packets)


@drawn()
def request_broke_off() -> list[Frame]:
    """Synthesised: a capture that lost what followed. The server's side is visible, the request neither acknowledged nor repeated."""
    return framed(talk().open().data(HELLO).wait(20).tick())


@drawn()
def answer_broke_off() -> list[Frame]:
    """Synthesised: a capture that lost what followed. The answer is neither acknowledged nor repeated."""
    return framed(talk().open().data(HELLO).reply().reply(http_answer()).wait(20).tick())


@drawn()
def handshake_broke_off() -> list[Frame]:
    """Synthesised: a capture that lost what followed. The server speaks first, and nobody acknowledges or repeats it."""
    return framed(talk(port=25).open().reply(GREETING).wait(20).tick())


@drawn()
def quarter_hour() -> list[Frame]:
    """Synthesised for exact time stamps: a SYN one second before a 15-minute bucket ends, the RST in the next."""
    bucket = 900 * SECOND
    end = (START // bucket + 1) * bucket
    return framed(talk(start=end - SECOND).open().wait(2).data(http_request("silence.example")).rst())


@real()
def answered_then_push_lost(play: Play) -> None:
    """A request and its answer; the path dies; the server sends more and repeats it."""
    _, server = exchange(play)
    play.cut()
    server.sendall(http_answer())
    play.sleep(12)
    play.tick()


@drawn()
def syn_then_ack_after_95s() -> list[Frame]:
    """Synthesised to save time: a SYN and its answer; the ACK comes after 95 s, too late to belong."""
    return framed(talk().syn().syn_ack().wait(95).ack().wait(11).tick())


@drawn()
def fin_then_rst_after_9s() -> list[Frame]:
    """Synthesised for exact time stamps: the client's FIN, and 9 s later its RST."""
    return framed(talk().open().data(HELLO).reply().fin().reply().wait(9).rst())


@drawn()
def fin_then_rst_after_11s() -> list[Frame]:
    """Synthesised for exact time stamps: the client's FIN, and 11 s later its RST."""
    return framed(talk().open().data(HELLO).reply().fin().reply().wait(11).rst())


@drawn()
def rst_after_10s() -> list[Frame]:
    """Synthesised for exact time stamps: a request, and exactly 10 s later a RST."""
    c = talk().open().data(HELLO)
    sent = c.packets[-1].ts
    return framed(c.reply().at(sent + 10 * SECOND).rst())


@drawn()
def request_repeated() -> list[Frame]:
    """Synthesised to keep it short: a request repeated twice and never acknowledged; the server's SYN-ACK is visible."""
    c = talk().open().data(HELLO).wait(1).resend(HELLO).wait(2).resend(HELLO)
    return framed(c.wait(11).tick())


@drawn()
def server_fin_broke_off() -> list[Frame]:
    """Synthesised: a capture that lost what followed. The server's FIN is neither acknowledged nor repeated."""
    c = talk().open().data(HELLO).reply(http_answer()).ack().server_fin()
    return framed(c.wait(20).tick())


@real(keep=inbound)
def one_way_answered(play: Play) -> None:
    """A request and its answer, then 12 s of silence; only the client's packets are kept, as a one-way tap would."""
    exchange(play, HELLO)
    play.sleep(12)
    play.tick()


@real(port=25)
def greeting_then_silence(play: Play) -> None:
    """The server speaks first and the client acknowledges that; then 11 s of silence."""
    client, server = play.open()
    server.sendall(GREETING)
    receive(client, len(GREETING))
    play.arrived(count=3)
    play.sleep(11)
    play.tick()


@drawn()
def clock_back_10s() -> list[Frame]:
    """Synthesised for exact time stamps: the request is stamped exactly 10 s before the ACK it follows; then a RST."""
    c = talk().open()
    return _in_order_written(c.at(c.packets[-1].ts - 10 * SECOND).data(HELLO).wait(10).rst().packets)


def _in_order_written(frames: list[Frame]) -> list[Frame]:
    wrap = LINKS["ethernet"].wrap
    return [Frame(f.ts, wrap(f.data)) for f in frames]
