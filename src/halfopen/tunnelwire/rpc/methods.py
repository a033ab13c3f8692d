"""The methods that connector and edge call of each other, with what they take and give."""

# ruff: noqa: RUF009 - what is called says where a field lies

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from halfopen.tunnelwire.capnp.layout import (
    Nested,
    Struct,
    data,
    flag,
    nested,
    number,
    text,
    texts,
    union,
)


@dataclass(frozen=True, repr=False)
class TunnelAuth(Struct, words=0, pointers=2):
    """Whose tunnel a connector serves, and the tunnel's secret."""

    account_tag: str = text(0)
    tunnel_secret: bytes = data(1)


@dataclass(frozen=True)
class ClientInfo(Struct, words=0, pointers=4):
    """A connector: its id (16 bytes), what it can do, its version, system and processor."""

    client_id: bytes = data(0)
    features: tuple[str, ...] = texts(1)
    version: str = text(2)
    arch: str = text(3)


@dataclass(frozen=True)
class ConnectionOptions(Struct, words=1, pointers=2):
    """How a connector comes: its address (4 or 16 bytes), and after how many attempts."""

    client: ClientInfo = nested(0, ClientInfo)
    origin_local_ip: bytes = data(1)
    replace_existing: bool = flag(0)
    compression_quality: int = number(1, "B")
    num_previous_attempts: int = number(2, "B")


@dataclass(frozen=True)
class Refusal(Struct, words=2, pointers=1):
    """A connection that is not accepted (ConnectionError in the schema). `retry_after` is in ns."""

    cause: str = text(0)
    retry_after: int = number(0, "q")
    should_retry: bool = flag(64)


@dataclass(frozen=True)
class ConnectionDetails(Struct, words=1, pointers=2):
    """A connection that is: its id (16 bytes), the edge's location, and whether the tunnel is configured by the edge."""

    uuid: bytes = data(0)
    location_name: str = text(1)
    tunnel_is_remotely_managed: bool = flag(0)


@dataclass(frozen=True)
class ConnectionResponse(Struct, words=1, pointers=1):
    """Whether a connection is accepted."""

    result: Refusal | ConnectionDetails = union(0, {0: Nested(0, Refusal), 1: Nested(0, ConnectionDetails)})


@dataclass(frozen=True)
class RegisterConnection(Struct, words=1, pointers=3):
    """A connection to be accepted: the tunnel (16 bytes), which of the connector's connections."""

    auth: TunnelAuth = nested(0, TunnelAuth)
    tunnel_id: bytes = data(1)
    conn_index: int = number(0, "B")
    options: ConnectionOptions = nested(2, ConnectionOptions)


@dataclass(frozen=True)
class Registered(Struct, words=0, pointers=1):
    """The answer to it."""

    result: ConnectionResponse = nested(0, ConnectionResponse)


@dataclass(frozen=True)
class Nothing(Struct, words=0, pointers=0):
    """No parameters, or no results."""


@dataclass(frozen=True)
class UpdateLocalConfiguration(Struct, words=0, pointers=1):
    """What the connector is configured with locally (JSON)."""

    config: bytes = data(0)


@dataclass(frozen=True)
class UpdateConfiguration(Struct, words=1, pointers=1):
    """What the connector is to be configured with (JSON)."""

    version: int = number(0, "i")
    config: bytes = data(0)


@dataclass(frozen=True)
class UpdateConfigurationResponse(Struct, words=1, pointers=1):
    """What it is configured with then, and what was wrong with the new configuration."""

    latest_applied_version: int = number(0, "i")
    err: str = text(0)


@dataclass(frozen=True)
class ConfigurationUpdated(Struct, words=0, pointers=1):
    """The answer to it."""

    result: UpdateConfigurationResponse = nested(0, UpdateConfigurationResponse)


@dataclass(frozen=True)
class RegisterUdpSession(Struct, words=2, pointers=3):
    """A flow of UDP through the tunnel; `close_after_idle_hint` is in ns."""

    session_id: bytes = data(0)
    dst_ip: bytes = data(1)
    dst_port: int = number(0, "H")
    close_after_idle_hint: int = number(8, "q")
    trace_context: str = text(2)


@dataclass(frozen=True)
class RegisterUdpSessionResponse(Struct, words=0, pointers=2):
    """What was wrong with it."""

    err: str = text(0)
    spans: bytes = data(1)


@dataclass(frozen=True)
class UdpSessionRegistered(Struct, words=0, pointers=1):
    """The answer to it."""

    result: RegisterUdpSessionResponse = nested(0, RegisterUdpSessionResponse)


@dataclass(frozen=True)
class UnregisterUdpSession(Struct, words=0, pointers=2):
    """The end of such a flow, and why."""

    session_id: bytes = data(0)
    message: str = text(1)


@dataclass(frozen=True)
class Method:
    """A method: the id of its interface, its number there, what it takes and gives."""

    interface: int
    number: int
    params: type[Struct]
    results: type[Struct]


_REGISTRATION: Final = 0xF71695EC7FE85497
_SESSIONS: Final = 0x839445A59FB01686
_CONFIGURATION: Final = 0xB48EDFBDAA25DB04

REGISTER_CONNECTION: Final = Method(_REGISTRATION, 0, RegisterConnection, Registered)
UNREGISTER_CONNECTION: Final = Method(_REGISTRATION, 1, Nothing, Nothing)
UPDATE_LOCAL_CONFIGURATION: Final = Method(_REGISTRATION, 2, UpdateLocalConfiguration, Nothing)
REGISTER_UDP_SESSION: Final = Method(_SESSIONS, 0, RegisterUdpSession, UdpSessionRegistered)
UNREGISTER_UDP_SESSION: Final = Method(_SESSIONS, 1, UnregisterUdpSession, Nothing)
UPDATE_CONFIGURATION: Final = Method(_CONFIGURATION, 0, UpdateConfiguration, ConfigurationUpdated)
