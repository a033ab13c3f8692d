"""The edge's end of a control stream: a connector registers a connection on it, and leaves.

::

    state        registerConnection  registered  refused  unregister  updateLocalConfiguration  withdrawn
    new          asked               -           -        exception   exception                 -
    asked        exception           registered  over     exception   exception                 over
    registered   exception           -           -        over        told                      -
    over         exception           -           -        exception   exception                 -
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final
from uuid import UUID

from halfopen.errors import WireError
from halfopen.tunnelwire.rpc.methods import (
    REGISTER_CONNECTION,
    UNREGISTER_CONNECTION,
    UPDATE_LOCAL_CONFIGURATION,
    ConnectionDetails,
    ConnectionResponse,
    Nothing,
    Refusal,
    RegisterConnection,
    Registered,
    UpdateLocalConfiguration,
)
from halfopen.tunnelwire.rpc.registration import Registration, read_registration
from halfopen.tunnelwire.rpc.vat import Aborted, Called, Vat, Withdrawn

STRANGER: Final = 1 << 14
"""How long a message may be (bytes) before a connection is registered."""

CONFIGURATION: Final = 1 << 20
"""How long it may be afterwards: a local configuration can be large."""


@dataclass(frozen=True)
class RegistrationAsked:
    """A connector wants to register: to be answered by `registered` or `refused`, within five seconds."""

    wish: Registration


@dataclass(frozen=True)
class RegistrationWithdrawn:
    """It does not wait for the answer any longer."""


@dataclass(frozen=True)
class RegistrationImpossible:
    """What it sent as a registration is none, and was refused: why."""

    reason: str


@dataclass(frozen=True)
class LocalConfiguration:
    """What the connector is configured with locally (JSON)."""

    config: bytes


@dataclass(frozen=True)
class Unregistered:
    """The connector leaves: what is under way may end, then the connection is to be closed."""


ControlEvent = (
    RegistrationAsked
    | RegistrationWithdrawn
    | RegistrationImpossible
    | LocalConfiguration
    | Unregistered
    | Aborted
)


class State(Enum):
    """How far a control stream has come."""

    NEW = auto()
    ASKED = auto()
    REGISTERED = auto()
    OVER = auto()


class EdgeControl:
    """The edge's end of a control stream."""

    def __init__(self) -> None:
        methods = (REGISTER_CONNECTION, UNREGISTER_CONNECTION, UPDATE_LOCAL_CONFIGURATION)
        self._vat = Vat(methods, STRANGER)
        self._question = 0
        self.state = State.NEW

    def receive(self, stream: bytes) -> list[ControlEvent]:
        """Take in what the connector sent."""
        events: list[ControlEvent] = []
        for event in self._vat.receive(stream):
            match event:
                case Called(question, _, params):
                    events += self._on_call(question, params)
                case Withdrawn() if self.state is State.ASKED:
                    self._finish(Refusal("withdrawn"), State.OVER)
                    events.append(RegistrationWithdrawn())
                case Aborted():
                    self.state = State.OVER
                    events.append(event)
        return events

    def take_outgoing(self) -> bytes:
        """What is to be sent to the connector."""
        return self._vat.take_outgoing()

    def registered(self, connection: str, location: str, remotely_managed: bool) -> None:
        """Accept the connection that was asked for, under an id (UUID). Nothing is told to a connector that has withdrawn."""
        if self.state is State.ASKED:
            details = ConnectionDetails(UUID(connection).bytes, location, remotely_managed)
            self._finish(details, State.REGISTERED)
            self._vat.limit = CONFIGURATION

    def refused(self, cause: str, retry: bool = False) -> None:
        """Refuse it. Over HTTP/2 the connection is to be closed then: the connector does not do it."""
        if self.state is State.ASKED:
            self._finish(Refusal(cause, should_retry=retry), State.OVER)

    def _finish(self, result: Refusal | ConnectionDetails, state: State) -> None:
        self._vat.answer(self._question, Registered(ConnectionResponse(result)))
        self.state = state

    def _on_call(self, question: int, params: object) -> list[ControlEvent]:
        match params, self.state:
            case RegisterConnection(), State.NEW:
                return self._on_registration(question, params)
            case UpdateLocalConfiguration(config), State.REGISTERED:
                self._vat.answer(question, Nothing())
                return [LocalConfiguration(config)]
            case Nothing(), State.REGISTERED:
                self._vat.answer(question, Nothing())
                self.state = State.OVER
                return [Unregistered()]
            case RegisterConnection(), _:
                self._vat.fail(question, "a connection was registered here already")
            case _:
                self._vat.fail(question, "no connection is registered here")
        return []

    def _on_registration(self, question: int, params: RegisterConnection) -> list[ControlEvent]:
        self._question = question
        self.state = State.ASKED
        try:
            return [RegistrationAsked(read_registration(params))]
        except WireError as error:
            self.refused(str(error))
            return [RegistrationImpossible(str(error))]
