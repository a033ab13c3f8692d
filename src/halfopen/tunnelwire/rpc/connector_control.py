"""The connector's end of a control stream, as cloudflared speaks: the first call is made before the edge has said anything."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from halfopen.tunnelwire.rpc.methods import (
    REGISTER_CONNECTION,
    UNREGISTER_CONNECTION,
    UPDATE_LOCAL_CONFIGURATION,
    ConnectionDetails,
    Nothing,
    Refusal,
    Registered,
    UpdateLocalConfiguration,
)
from halfopen.tunnelwire.rpc.registration import Registration, write_registration
from halfopen.tunnelwire.rpc.vat import Aborted, Failed, Returned, Vat


@dataclass(frozen=True)
class Accepted:
    """The connection is registered: its id (UUID), the edge's location, whether the edge configures the tunnel."""

    connection: str
    location: str
    remotely_managed: bool


@dataclass(frozen=True)
class Rejected:
    """It is not: why, and whether it may be tried again."""

    cause: str
    retry: bool


@dataclass(frozen=True)
class LocalConfigurationTaken:
    """The edge knows the local configuration."""


@dataclass(frozen=True)
class Left:
    """The edge knows that the connector leaves."""


ConnectorEvent = Accepted | Rejected | LocalConfigurationTaken | Left | Failed | Aborted


class ConnectorControl:
    """The connector's end of a control stream."""

    def __init__(self) -> None:
        self._vat = Vat()

    def register(self, wish: Registration) -> None:
        """Ask for the connection."""
        self._vat.call(REGISTER_CONNECTION, write_registration(wish))

    def configured(self, config: bytes) -> None:
        """Tell what is configured locally (JSON)."""
        self._vat.call(UPDATE_LOCAL_CONFIGURATION, UpdateLocalConfiguration(config))

    def leave(self) -> None:
        """Tell that the connector leaves."""
        self._vat.call(UNREGISTER_CONNECTION, Nothing())

    def close(self) -> None:
        """End the conversation as cloudflared does."""
        self._vat.abort("rpc: shutdown")

    def take_outgoing(self) -> bytes:
        """What is to be sent to the edge."""
        return self._vat.take_outgoing()

    def receive(self, stream: bytes) -> list[ConnectorEvent]:
        """Take in what the edge sent."""
        events: list[ConnectorEvent] = []
        for event in self._vat.receive(stream):
            match event:
                case Returned(_, _, Registered(response)):
                    events.append(_outcome(response.result))
                case Failed(_, method, reason) if method is REGISTER_CONNECTION:
                    events.append(Rejected(reason, retry=False))
                case Returned(_, method, _):
                    events.append(Left() if method is UNREGISTER_CONNECTION else LocalConfigurationTaken())
                case Failed() | Aborted():
                    events.append(event)
        return events


def _outcome(result: object) -> Accepted | Rejected:
    match result:
        case ConnectionDetails(uuid, location, remotely_managed) if len(uuid) == 16:
            return Accepted(str(UUID(bytes=uuid)), location, remotely_managed)
        case Refusal(cause, _, retry):
            return Rejected(cause, retry)
    return Rejected("the answer is none", retry=False)
