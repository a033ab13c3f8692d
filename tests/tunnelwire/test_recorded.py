"""A control stream of stock cloudflared from its first byte to its last, as it was recorded, read and said again by us."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from halfopen.tunnelwire.capnp import Pointed
from halfopen.tunnelwire.rpc.connector_control import (
    Accepted,
    ConnectorControl,
    Left,
    LocalConfigurationTaken,
)
from halfopen.tunnelwire.rpc.edge_control import (
    EdgeControl,
    LocalConfiguration,
    RegistrationAsked,
    Unregistered,
)
from halfopen.tunnelwire.rpc.messages import Call
from halfopen.tunnelwire.rpc.methods import Nothing, RegisterConnection, UpdateLocalConfiguration
from halfopen.tunnelwire.rpc.vat import Aborted
from tests.tunnelwire.test_vat import read

TURNS = [
    (turn["from"], bytes.fromhex(turn["bytes"]))
    for turn in json.loads(Path(__file__).with_name("recorded_control.json").read_text())["turns"]
]
CONNECTION = "aec4b5f3-9ef4-4797-9bc5-86c4cb2db736"
PARAMS = {0: RegisterConnection, 1: Nothing, 2: UpdateLocalConfiguration}


def said(by: str) -> list[bytes]:
    return [spoken for who, spoken in TURNS if who == by]


def messages(spoken: list[bytes]) -> list[Any]:
    """What was said, with the parameters of calls read."""
    found: list[Any] = []
    for body in read(b"".join(spoken)):
        if isinstance(body, Call):
            content = body.params.content
            assert isinstance(content, Pointed)
            found.append((body.question, body.interface, body.target, content.struct(PARAMS[body.method])))
        else:
            found.append(body)
    return found


def test_the_edge_reads_it() -> None:
    edge = EdgeControl()
    events: list[Any] = []
    answers: list[bytes] = []
    for spoken in said("connector"):
        for event in edge.receive(spoken):
            events.append(event)
            if isinstance(event, RegistrationAsked):
                edge.registered(CONNECTION, "tst01", remotely_managed=False)
        answers.append(edge.take_outgoing())
    asked, configuration, *rest = events
    assert asked.wish.version == "2026.8.2"
    assert asked.wish.tunnel == "f70ff985-a4ef-4643-bbbc-4a0ed4fc8415"
    assert asked.wish.secret == b"s" * 32
    assert "serialized_headers" in asked.wish.features
    assert isinstance(configuration, LocalConfiguration)
    assert json.loads(configuration.config)["ingress"][0]["originRequest"] == {}
    assert rest == [Unregistered(), Aborted("rpc: shutdown", by_us=False)]
    assert [answer for answer in answers if answer] == said("edge")


def test_our_connector_says_the_same() -> None:
    edge, connector = EdgeControl(), ConnectorControl()
    asked, configuration = [event for spoken in said("connector") for event in edge.receive(spoken)][:1], b""
    assert isinstance(asked[0], RegistrationAsked)
    for body in messages(said("connector")):
        if isinstance(body, tuple) and isinstance(body[3], UpdateLocalConfiguration):
            configuration = body[3].config
    spoken: list[bytes] = []
    answers = iter(said("edge"))

    def turn(answered: int) -> list[Any]:
        spoken.append(connector.take_outgoing())
        events = [event for _ in range(answered) for event in connector.receive(next(answers))]
        spoken.append(connector.take_outgoing())
        return events

    connector.register(asked[0].wish)
    assert turn(2) == [Accepted(CONNECTION, "tst01", remotely_managed=False)]
    connector.configured(configuration)
    assert turn(1) == [LocalConfigurationTaken()]
    connector.leave()
    assert turn(1) == [Left()]
    connector.close()
    turn(0)
    ours, theirs = messages(spoken), messages(said("connector"))
    assert sorted(ours[1][3].options.client.features) == sorted(theirs[1][3].options.client.features)
    ours[1], theirs[1] = ours[1][:3], theirs[1][:3]  # features come in any order, an address in either form
    assert ours == theirs
