"""The control stream: every state of the edge's end against everything that can happen, and both ends together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfopen.errors import WireError
from halfopen.tunnelwire.rpc.connector_control import (
    Accepted,
    ConnectorControl,
    ConnectorEvent,
    Left,
    LocalConfigurationTaken,
    Rejected,
)
from halfopen.tunnelwire.rpc.edge_control import (
    ControlEvent,
    EdgeControl,
    LocalConfiguration,
    RegistrationAsked,
    RegistrationImpossible,
    RegistrationWithdrawn,
    State,
    Unregistered,
)
from halfopen.tunnelwire.rpc.messages import Finish
from halfopen.tunnelwire.rpc.methods import (
    REGISTER_CONNECTION,
    ConnectionResponse,
    Refusal,
    RegisterConnection,
    Registered,
)
from halfopen.tunnelwire.rpc.registration import Registration, read_registration, write_registration
from halfopen.tunnelwire.rpc.vat import Aborted, Failed, Returned, Vat
from tests.tunnelwire.test_vat import written

TUNNEL = "f70ff985-a4ef-4643-bbbc-4a0ed4fc8415"
CONNECTOR = "1bedc50d-42b3-473c-b108-ff3d10c0d925"
CONNECTION = "dc6472cc-f1ae-44a0-b795-6b8a0ce29f90"
WISH = Registration(
    account="699d98642c564d2e855e9661899b7252",
    secret=b"s" * 32,
    tunnel=TUNNEL,
    conn_index=3,
    connector=CONNECTOR,
    version="2026.8.2",
    arch="linux_amd64",
    features=("allow_remote_config", "serialized_headers"),
    local_ip="192.0.2.7",
    attempts=2,
)


class Ends:
    """An edge's end and a connector's, and what either has noticed."""

    def __init__(self) -> None:
        self.edge = EdgeControl()
        self.connector = ConnectorControl()

    def to_edge(self) -> list[ControlEvent]:
        return self.edge.receive(self.connector.take_outgoing())

    def to_connector(self) -> list[ConnectorEvent]:
        return self.connector.receive(self.edge.take_outgoing())

    def asked(self) -> None:
        self.connector.register(WISH)
        assert self.to_edge() == [RegistrationAsked(WISH)]

    def registered(self) -> None:
        self.asked()
        self.edge.registered(CONNECTION, "ams01", remotely_managed=True)
        assert self.to_connector() == [Accepted(CONNECTION, "ams01", remotely_managed=True)]

    def over(self) -> None:
        self.asked()
        self.edge.refused("Unauthorized: Invalid tunnel secret")
        self.to_connector()

    def both(
        self, does: Callable[[ConnectorControl], None]
    ) -> tuple[list[ControlEvent], list[ConnectorEvent]]:
        does(self.connector)
        at_edge = self.to_edge()
        return at_edge, self.to_connector()


def register(end: ConnectorControl) -> None:
    end.register(WISH)


def configure(end: ConnectorControl) -> None:
    end.configured(b"{}")


def leave(end: ConnectorControl) -> None:
    end.leave()


STATES: dict[str, Callable[[Ends], None]] = {
    "new": lambda ends: None,
    "asked": Ends.asked,
    "registered": Ends.registered,
    "over": Ends.over,
}
AGAIN = [Rejected("a connection was registered here already", retry=False)]
TABLE: dict[tuple[str, Any], tuple[list[ControlEvent], Any, State]] = {
    ("new", register): ([RegistrationAsked(WISH)], [], State.ASKED),
    ("new", configure): ([], Failed, State.NEW),
    ("new", leave): ([], Failed, State.NEW),
    ("asked", register): ([], AGAIN, State.ASKED),
    ("asked", configure): ([], Failed, State.ASKED),
    ("asked", leave): ([], Failed, State.ASKED),
    ("registered", register): ([], AGAIN, State.REGISTERED),
    ("registered", configure): ([LocalConfiguration(b"{}")], [LocalConfigurationTaken()], State.REGISTERED),
    ("registered", leave): ([Unregistered()], [Left()], State.OVER),
    ("over", register): ([], AGAIN, State.OVER),
    ("over", configure): ([], Failed, State.OVER),
    ("over", leave): ([], Failed, State.OVER),
}


@pytest.mark.parametrize(("state", "does"), TABLE, ids=lambda each: getattr(each, "__name__", each))
def test_calls(state: str, does: Any) -> None:
    at_edge, at_connector, afterwards = TABLE[state, does]
    ends = Ends()
    STATES[state](ends)
    seen, told = ends.both(does)
    assert seen == at_edge
    if at_connector is Failed:
        (failed,) = told
        assert isinstance(failed, Failed)
        assert failed.reason == "no connection is registered here"
    else:
        assert told == at_connector
    assert ends.edge.state is afterwards


@pytest.mark.parametrize("retry", [False, True])
def test_refused(retry: bool) -> None:
    ends = Ends()
    ends.asked()
    ends.edge.refused("no", retry)
    assert ends.to_connector() == [Rejected("no", retry)]


@pytest.mark.parametrize("state", ["new", "registered", "over"])
def test_answers_that_nobody_asked_for_are_not_sent(state: str) -> None:
    ends = Ends()
    STATES[state](ends)
    before = ends.edge.state
    ends.edge.registered(CONNECTION, "ams01", remotely_managed=True)
    ends.edge.refused("no")
    assert ends.edge.take_outgoing() == b""
    assert ends.edge.state is before


def test_withdrawn() -> None:
    """A connector that gave up gets no connection; that somebody accepts it afterwards does no harm."""
    ends = Ends()
    ends.asked()
    ends.edge.take_outgoing()
    assert ends.edge.receive(written(Finish(1))) == [RegistrationWithdrawn()]
    assert ends.to_connector() == [Rejected("withdrawn", retry=False)]
    ends.edge.registered(CONNECTION, "ams01", remotely_managed=True)
    assert ends.edge.state is State.OVER


def test_the_end_of_the_conversation() -> None:
    ends = Ends()
    ends.registered()
    ends.connector.close()
    assert ends.to_edge() == [Aborted("rpc: shutdown", by_us=False)]
    assert ends.edge.state is State.OVER


def test_a_local_configuration_may_be_large_once_registered() -> None:
    large = b" " * 900_000
    ends = Ends()
    ends.registered()
    ends.connector.configured(large)
    assert ends.to_edge() == [LocalConfiguration(large)]
    stranger = Ends()
    stranger.connector.configured(large)
    (aborted,) = stranger.to_edge()
    assert isinstance(aborted, Aborted)
    assert "accepted: at most 16,384" in aborted.reason


CALL = write_registration(WISH)
CLIENT = CALL.options.client


def client(**changed: Any) -> RegisterConnection:
    return replace(CALL, options=replace(CALL.options, client=replace(CLIENT, **changed)))


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (replace(CALL, tunnel_id=b"short"), "tunnelId: 5 bytes; accepted: 16"),
        (client(client_id=b""), "clientId: 0 bytes; accepted: 16"),
        (client(version="v" * 129), "version: "),
        (client(arch="linux\0"), r"arch: 'linux\x00' cannot be"),
        (client(features=("a\nb",)), "features: "),
        (client(features=("a",) * 65), "features: 65 of them; accepted: at most 64"),
        (replace(CALL, auth=replace(CALL.auth, account_tag="\x1b[2J")), "accountTag: "),
        (replace(CALL, auth=replace(CALL.auth, tunnel_secret=b"s" * 1025)), "tunnelSecret: 1025 bytes"),
        (replace(CALL, options=replace(CALL.options, origin_local_ip=b"123")), "originLocalIp: 3 bytes"),
    ],
)
def test_registrations_that_are_none(call: RegisterConnection, reason: str) -> None:
    edge, vat = EdgeControl(), Vat()
    vat.call(REGISTER_CONNECTION, call)
    (impossible,) = edge.receive(vat.take_outgoing())
    assert isinstance(impossible, RegistrationImpossible)
    assert reason in impossible.reason
    (returned,) = vat.receive(edge.take_outgoing())
    assert isinstance(returned, Returned)
    assert returned.results == Registered(ConnectionResponse(Refusal(impossible.reason)))
    assert edge.state is State.OVER


def test_answers_that_are_none() -> None:
    connector, vat = ConnectorControl(), Vat([REGISTER_CONNECTION])
    connector.register(WISH)
    vat.receive(connector.take_outgoing())
    vat.answer(1, Registered(ConnectionResponse()))
    assert connector.receive(vat.take_outgoing()) == [Rejected("", retry=False)]


def test_secrets_are_not_shown() -> None:
    """What is printed lands in logs."""
    assert "ssss" not in repr(WISH)
    assert "ssss" not in repr(CALL)


def test_features_come_in_any_order_and_are_told_in_one() -> None:
    first = read_registration(client(features=("b", "a", "b")))
    assert first.features == ("a", "b")


def test_an_address_of_the_other_family_in_disguise() -> None:
    assert read_registration(CALL).local_ip == "192.0.2.7"
    mapped = bytes(10) + b"\xff\xff\xc0\0\2\7"
    assert read_registration(replace(CALL, options=replace(CALL.options, origin_local_ip=mapped))) == WISH
    six = replace(WISH, local_ip="2001:db8::7")
    assert read_registration(write_registration(six)) == six
    unknown = replace(WISH, local_ip="")
    assert read_registration(write_registration(unknown)) == unknown


@given(st.builds(RegisterConnection, tunnel_id=st.binary(max_size=20), conn_index=st.integers(0, 255)))
def test_any_registration(call: RegisterConnection) -> None:
    with pytest.raises(WireError):
        read_registration(call)  # a client without an id


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_any_bytes(pieces: list[bytes]) -> None:
    for end in (EdgeControl(), ConnectorControl()):
        for piece in pieces:
            end.receive(piece)
