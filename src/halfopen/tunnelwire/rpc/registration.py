"""A connector's wish to register a connection, as both ends know it, and as it is written in a call."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Final
from uuid import UUID

from halfopen.errors import WireError
from halfopen.tunnelwire.rpc.methods import ClientInfo, ConnectionOptions, RegisterConnection, TunnelAuth

_TEXT: Final = 128  # characters
_SECRET: Final = 1024  # bytes
_FEATURES: Final = 64


@dataclass(frozen=True)
class Registration:
    """One connection of a connector. Tunnel and connector are UUIDs, `local_ip` the address it comes from by its own account."""

    account: str
    secret: bytes = field(repr=False)
    tunnel: str
    conn_index: int
    connector: str
    version: str = ""
    arch: str = ""
    features: tuple[str, ...] = ()
    local_ip: str = ""
    attempts: int = 0


def read_registration(call: RegisterConnection) -> Registration:
    """What a call says; raises WireError where no connector would say so."""
    client = call.options.client
    if len(client.features) > _FEATURES:
        raise WireError(f"features: {len(client.features)} of them; accepted: at most {_FEATURES}")
    if len(call.auth.tunnel_secret) > _SECRET:
        raise WireError(f"tunnelSecret: {len(call.auth.tunnel_secret)} bytes; accepted: at most {_SECRET}")
    return Registration(
        account=_text("accountTag", call.auth.account_tag),
        secret=call.auth.tunnel_secret,
        tunnel=_uuid("tunnelId", call.tunnel_id),
        conn_index=call.conn_index,
        connector=_uuid("clientId", client.client_id),
        version=_text("version", client.version),
        arch=_text("arch", client.arch),
        features=tuple(sorted({_text("features", each) for each in client.features})),
        local_ip=_address(call.options.origin_local_ip),
        attempts=call.options.num_previous_attempts,
    )


def write_registration(wish: Registration) -> RegisterConnection:
    """The call that says so."""
    address = ip_address(wish.local_ip).packed if wish.local_ip else b""
    client = ClientInfo(UUID(wish.connector).bytes, wish.features, wish.version, wish.arch)
    return RegisterConnection(
        TunnelAuth(wish.account, wish.secret),
        UUID(wish.tunnel).bytes,
        wish.conn_index,
        ConnectionOptions(client, address, num_previous_attempts=wish.attempts),
    )


def _text(name: str, value: str) -> str:
    if len(value) > _TEXT or not value.isprintable():
        raise WireError(
            f"{name}: {value[:_TEXT]!r} cannot be; accepted: at most {_TEXT} printable characters"
        )
    return value


def _uuid(name: str, value: bytes) -> str:
    if len(value) != 16:
        raise WireError(f"{name}: {len(value)} bytes; accepted: 16")
    return str(UUID(bytes=value))


def _address(value: bytes) -> str:
    if not value:
        return ""
    if len(value) not in (4, 16):
        raise WireError(f"originLocalIp: {len(value)} bytes; accepted: 4 or 16")
    address = ip_address(value)
    return str(getattr(address, "ipv4_mapped", None) or address)
