"""What the API says of tunnels, field by field as Cloudflare's does (B3, B4 of the wire)."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from halfopen.api.shapes import Time
from halfopen.tunnels import ingress
from halfopen.tunnels.configurations import Configuration
from halfopen.tunnels.records import Connector, Link, Tunnel
from halfopen.tunnels.traffic import OfHostname, Rate
from halfopen.tunnels.vault import RunToken

ConfigSource = Literal["local", "cloudflare"]
Standing = Literal["inactive", "degraded", "healthy", "down"]
Uuid: TypeAlias = Annotated[str, msgspec.Meta(max_length=36, extra_json_schema={"format": "uuid"})]
AccountId: TypeAlias = Annotated[str, msgspec.Meta(max_length=32)]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class ConnectionResult(msgspec.Struct, frozen=True):
    """One connection of a connector."""

    id: Uuid
    uuid: Uuid
    client_id: Uuid
    client_version: str
    colo_name: str
    origin_ip: str
    opened_at: Time
    is_pending_reconnect: bool


class ClientResult(msgspec.Struct, frozen=True):
    """One connector with its connections."""

    id: Uuid
    version: str
    arch: str
    features: tuple[str, ...]
    run_at: Time
    conns: tuple[ConnectionResult, ...]
    config_version: int | UnsetType = UNSET
    ha_status: None = None


class TunnelResult(msgspec.Struct, frozen=True, kw_only=True):
    """One tunnel. `config_src` is absent of a deleted one."""

    id: Uuid
    account_tag: AccountId
    created_at: Time
    deleted_at: Time | None
    name: str
    connections: tuple[ConnectionResult, ...]
    conns_active_at: Time | None
    conns_inactive_at: Time | None
    tun_type: Literal["cfd_tunnel"] = "cfd_tunnel"
    metadata: dict[str, str]
    status: Standing
    remote_config: bool
    config_src: ConfigSource | UnsetType = UNSET


class CredentialsFile(msgspec.Struct, frozen=True):
    """What `cloudflared tunnel create` writes into its credentials file."""

    AccountTag: str
    TunnelID: str
    TunnelName: str
    TunnelSecret: str


class NewTunnelResult(TunnelResult, frozen=True, kw_only=True):
    """A tunnel that was made, with what its connectors are started with."""

    credentials_file: CredentialsFile
    token: str


class ConfigurationResult(msgspec.Struct, frozen=True):
    """One version of a tunnel's configuration."""

    account_id: AccountId
    tunnel_id: Uuid
    version: int
    config: dict[str, Any] | None
    source: ConfigSource
    created_at: Time


class RouteResult(msgspec.Struct, frozen=True):
    """What became of a claim of a hostname."""

    cname: Literal["new", "updated", "unchanged"]
    name: str


class TrafficResult(msgspec.Struct, frozen=True):
    """What has passed to a hostname through all edges since the tunnel was made: requests that are over, by class of status (`closed`:
    the visitor left before there was one), bytes of bodies from visitors (in) and to them (out), and the seconds that they took in all;
    `rate` is what passes in a second."""

    hostname: str
    requests: int
    statuses: dict[str, int]
    bytes_in: int
    bytes_out: int
    seconds: float
    rate: Rate
    last_request_at: Time


class NewTunnel(msgspec.Struct, frozen=True):
    """What is said of a tunnel to be made."""

    name: str
    config_src: ConfigSource = "local"
    tunnel_secret: str | None = None


class TunnelEdit(msgspec.Struct, frozen=True):
    """What is to be changed of a tunnel."""

    name: str | None = None
    tunnel_secret: str | None = None


_TEXT: Final = {"type": "string"}
_RULE: Final = {
    "type": "object",
    "required": ["service"],
    "properties": {"hostname": _TEXT, "path": _TEXT, "service": _TEXT, "originRequest": {"type": "object"}},
}
_CONFIG: Final = {
    "type": "object",
    "required": ["ingress"],
    "properties": {
        "ingress": {"type": "array", "minItems": 1, "maxItems": ingress.MOST_RULES, "items": _RULE},
        "originRequest": {"type": "object"},
    },
}


class NewConfiguration(msgspec.Struct, frozen=True):
    """A configuration to be set, with whatever else cloudflared knows; what it would refuse is refused (1056)."""

    config: Annotated[Any, msgspec.Meta(extra_json_schema=_CONFIG)] = None


class Resources(msgspec.Struct, frozen=True):
    """What a management token is to open."""

    resources: Annotated[tuple[Literal["logs", "admin", "host_details"], ...], msgspec.Meta(min_length=1)] = (
        "logs",
    )


class NewRoute(msgspec.Struct, frozen=True):
    """A hostname to be claimed, as `cloudflared tunnel route dns` does."""

    user_hostname: str
    type: Literal["dns"] = "dns"
    overwrite_existing: bool = False


def moment(micros: int) -> datetime:
    """A time of the database (microseconds since 1970) as it is told."""
    return _EPOCH + timedelta(microseconds=micros)


def micros(when: datetime) -> int:
    """A time as the database has it; without a zone it is UTC."""
    aware = when if when.tzinfo else when.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)


def tunnel_result(tunnel: Tunnel) -> TunnelResult:
    """A tunnel as it is told."""
    return TunnelResult(**_of_tunnel(tunnel))


def new_tunnel_result(tunnel: Tunnel, token: RunToken) -> NewTunnelResult:
    """A tunnel that was made just now, as it is told."""
    secret = b64encode(token.secret).decode()
    file = CredentialsFile(tunnel.account, tunnel.id, tunnel.name, secret)
    return NewTunnelResult(**_of_tunnel(tunnel), credentials_file=file, token=str(token))


def client_result(connector: Connector) -> ClientResult:
    """A connector as it is told."""
    return ClientResult(
        connector.id, connector.version, connector.arch, connector.features, moment(connector.run),
        _connections(connector.links),
        UNSET if connector.config_version is None else connector.config_version,
    )  # fmt: skip


def configuration_result(account: str, found: Configuration) -> ConfigurationResult:
    """A version of a configuration as it is told."""
    source: ConfigSource = "cloudflare" if found.source == "cloudflare" else "local"
    return ConfigurationResult(
        account, found.tunnel, found.version, found.config, source, moment(found.created)
    )


def traffic_result(found: OfHostname) -> TrafficResult:
    """The traffic of a hostname as it is told."""
    sums = found.sums
    return TrafficResult(
        found.hostname, sums.requests, sums.statuses, sums.bytes_in, sums.bytes_out, sums.seconds, found.rate,
        moment(found.last),
    )  # fmt: skip


def _of_tunnel(tunnel: Tunnel) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": tunnel.id,
        "account_tag": tunnel.account,
        "created_at": moment(tunnel.created),
        "deleted_at": None if tunnel.deleted is None else moment(tunnel.deleted),
        "name": tunnel.name,
        "connections": _connections(tunnel.links),
        "conns_active_at": None if tunnel.active is None else moment(tunnel.active),
        "conns_inactive_at": None if tunnel.inactive is None else moment(tunnel.inactive),
        "metadata": {},
        "status": tunnel.status.value,
        "remote_config": tunnel.config_src == "cloudflare",
    }
    return told if tunnel.deleted is not None else told | {"config_src": tunnel.config_src}


def _connections(links: Sequence[Link]) -> tuple[ConnectionResult, ...]:
    return tuple(
        ConnectionResult(
            link.id, link.id, link.connector, link.version, link.colo, link.origin_ip, moment(link.opened),
            link.lost is not None,
        )
        for link in links
    )  # fmt: skip
