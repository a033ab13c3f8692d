"""Scripts of connections: both sides' numbers are kept, and what clients say first is well-formed."""

from halfopen.model import SECOND, Flag
from halfopen.testing.conversation import START, STEP, Conversation, framed
from halfopen.testing.links import ethernet
from halfopen.testing.packets import ACK, SYN
from halfopen.testing.payloads import POST_QUANTUM_SIZE, client_hello, http_request
from halfopen.testing.recorder import Seen, seen

CLIENT, SERVER = ("192.0.2.1", 40000), ("203.0.113.200", 443)


def headers(talk: Conversation) -> list[Seen]:
    found = [seen(ethernet(frame.data)) for frame in talk.packets]
    return [header for header in found if header is not None]


def test_both_sides_numbers_fit() -> None:
    talk = Conversation(CLIENT, SERVER, client_isn=2**32 - 3, server_isn=100)
    talk.open().data(b"12345").reply(b"123").ack().fin().server_fin().ack()
    got = headers(talk)
    assert [h.flags for h in got[:3]] == [Flag.SYN, Flag.SYN | Flag.ACK, Flag.ACK]
    assert [h.seq for h in got] == [2**32 - 3, 100, 2**32 - 2, 2**32 - 2, 101, 3, 3, 104, 4]
    assert [h.ack for h in got[1:]] == [2**32 - 2, 101, 101, 3, 104, 104, 4, 105]


def test_every_packet_moves_the_clock() -> None:
    talk = Conversation(CLIENT, SERVER).syn().wait(2).syn_ack().at(START).ack()
    assert [frame.ts for frame in talk.packets] == [START, START + STEP + 2 * SECOND, START]
    assert [frame.ts for frame in framed(talk)] == [START, START, START + STEP + 2 * SECOND]


def test_a_lost_packet_is_sent_and_not_seen() -> None:
    talk = Conversation(CLIENT, SERVER).open().data(b"12345", lost=True).reply().data(b"678")
    got = headers(talk)
    assert len(got) == 5
    assert got[3].ack == got[2].seq  # the server never saw it
    assert got[4].seq == got[2].seq + 5


def test_a_copy_is_the_same_packet_and_a_retransmission_is_not() -> None:
    talk = Conversation(CLIENT, SERVER).open().data(b"123").again().resend(b"123")
    first, copy, resent = talk.packets[-3:]
    assert first.data == copy.data != resent.data
    assert headers(talk)[-1].seq == headers(talk)[-3].seq
    talk.syn()
    assert headers(talk)[-1].seq == headers(talk)[0].seq


def test_any_field_can_be_overridden() -> None:
    talk = Conversation(CLIENT, SERVER).open().rst(seq=7, ack=8, ttl=9, ip_id=10)
    header = headers(talk)[-1]
    assert (header.seq, header.ack, header.ttl, header.ip_id) == (7, 8, 9, 10)
    after = headers(talk.ack())[-1]
    assert after.seq == headers(talk)[2].seq
    assert talk.send(talk.server, SYN | ACK).packets


def test_client_hello_is_of_the_size_it_claims() -> None:
    for hello in (client_hello(), client_hello(None), client_hello("x.test", post_quantum=True)):
        assert int.from_bytes(hello[3:5], "big") == len(hello) - 5
        assert int.from_bytes(hello[6:9], "big") == len(hello) - 9
    assert len(client_hello(post_quantum=True)) == POST_QUANTUM_SIZE
    assert client_hello("a.test", post_quantum=True).index(b"a.test") < 200
    late = client_hello("a.test", post_quantum=True, name_last=True)
    assert late.index(b"a.test") > 1460
    assert b"www.example" not in client_hello(None)


def test_http_request_names_its_host() -> None:
    assert http_request("a.test").startswith(b"GET / HTTP/1.1\r\nHost: a.test\r\n")
    assert b"Host" not in http_request(None)
