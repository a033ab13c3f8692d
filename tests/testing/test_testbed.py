"""The test bed does what it says, where the machine lets it."""

from collections.abc import Callable, Iterator

import pytest

from halfopen.model import Flag
from halfopen.testing import namespaces
from halfopen.testing.namespaces import MissingError, Namespace
from halfopen.testing.packets import ACK, RST, SYN
from halfopen.testing.play import Play, receive, reset
from halfopen.testing.testbed import TestBed
from tests.beds import bed_of

Require = Callable[[bool, str], None]
PAIRS = (("192.0.2.5", "203.0.113.130"), ("2001:db8:1::5", "2001:db8:ffff::5"))


@pytest.fixture
def bed(require: Require) -> Iterator[TestBed]:
    with bed_of(require) as made:
        yield made


@pytest.mark.parametrize(("client", "server"), PAIRS)
def test_drop_inject_and_record(bed: TestBed, client: str, server: str) -> None:
    play = Play(bed, client, server, 80)
    ours, theirs = play.open()
    ours.sendall(b"hello")
    assert receive(theirs, 5) == b"hello"
    hello = play.arrived(length=5)
    play.cut()
    ours.sendall(b"lost")
    play.inject(RST, ttl=99, ip_id=7)
    injected = play.arrived(RST)
    assert (injected.seq, injected.ttl) == (hello.next, 99)
    with pytest.raises(ConnectionResetError):
        theirs.recv(1)
    assert not any(frame.data.endswith(b"lost") for frame in play.frames())
    play.close()


def test_refusal_and_a_reset_of_the_server(bed: TestBed) -> None:
    play = Play(bed, *PAIRS[0])
    play.begin()
    assert play.sent(RST).flags == Flag.RST | Flag.ACK
    play.from_now()
    ours, theirs = play.open()
    reset(theirs)
    play.sent(RST)
    with pytest.raises(ConnectionResetError):
        ours.recv(1)
    play.close()


def test_a_deaf_server_answers_nothing(bed: TestBed) -> None:
    play = Play(bed, *PAIRS[0])
    play.deafen()
    play.begin()
    play.arrived(SYN)
    play.undeafen()
    with play.listen():
        assert play.sent(SYN | ACK).ack == play.arrived(SYN, count=2).next
    play.close()


def test_without_the_right_the_reason_is_said_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refusing:
        def unshare(self, _: int) -> int:
            return -1

    monkeypatch.setattr(namespaces, "_LIBC", Refusing())
    with pytest.raises(MissingError, match="run it as root"):
        Namespace()
