"""The routes of ``/accounts/{account_id}/cfd_tunnel`` and its neighbours (B2 of the wire)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote

from halfopen.accounts.permissions import TUNNELS_READ, TUNNELS_WRITE
from halfopen.api.envelope import ResultInfo
from halfopen.api.errors import Answer, Service
from halfopen.api.identity import ACCOUNT_ID
from halfopen.api.parameters import PAGE, Parameter, per_page
from halfopen.api.routes import NULL, Call, Route, answered
from halfopen.errors import (
    ForbiddenError,
    InvalidError,
    MissingError,
    NotOfferedError,
    Rejected,
    UsageError,
)
from halfopen.tunnels import shapes
from halfopen.tunnels.catalogue import Filter
from halfopen.tunnels.installation import Installation
from halfopen.tunnels.records import Status
from halfopen.tunnels.vault import secret_of

PER_PAGE: Final = 1000


def _uuid(name: str, description: str) -> Parameter:
    pattern = "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"
    return Parameter(name, description, "a UUID", pattern=pattern, formats=("uuid",))


TUNNEL_ID: Final = _uuid("tunnel_id", "UUID of the tunnel.")
CONNECTOR_ID: Final = _uuid("connector_id", "UUID of the connector.")
_CLIENT_ID: Final = _uuid("client_id", "Only this connector.")
_ZONE_ID: Final = Parameter(
    "zone_id", "Identifier of the zone.", "an identifier", pattern="^[0-9A-Za-z_-]{1,32}$"
)
_RESOURCE: Final = Parameter(
    "resource", "What the token opens.", "logs, admin or host_details", pattern="^(logs|admin|host_details)$"
)
_CASCADE: Final = Parameter("cascade", "Clean up what is connected first.", "true or false", kind="boolean")
_TYPES: Final = ("cfd_tunnel", "warp_connector", "warp", "magic", "ip_sec", "gre", "cni")

_SERVICE: Final = Service("Tunnels")
_TAGS: Final = ("Cloudflare Tunnel",)
_TUNNELS: Final = "/accounts/{account_id}/cfd_tunnel"
_TUNNEL: Final = f"{_TUNNELS}/{{tunnel_id}}"


def _time(name: str, description: str) -> Parameter:
    return Parameter(name, description, "a time (ISO 8601)", formats=("date-time",))


_TIMES: Final = (
    _time("existed_at", "Only tunnels that existed then."),
    _time("was_active_at", "Only tunnels of which something has been connected since then or before."),
    _time("was_inactive_at", "Only tunnels of which nothing has been connected since then or before."),
)
_FILTERS: Final = (
    _uuid("uuid", "Only the tunnel of this UUID."),
    Parameter("name", "Only the tunnel of this name.", "a name"),
    Parameter("include_prefix", "Only tunnels whose name begins so.", "a text"),
    Parameter("name_prefix", "As include_prefix, as cloudflared writes it.", "a text"),
    Parameter("exclude_prefix", "Only tunnels whose name does not begin so.", "a text"),
    Parameter(
        "is_deleted", "Only deleted tunnels, or only others (default).", "true or false", kind="boolean"
    ),
    Parameter("status", "Only tunnels that stand so.", f"one of {', '.join(Status)}", values=tuple(Status)),
    *_TIMES,
    PAGE,
    per_page(1, 1000, PER_PAGE),
)
_KINDS: Final = Parameter(
    "tun_types", "Only tunnels of these types.", f"one of {', '.join(_TYPES)}", values=_TYPES, repeated=True
)


class TunnelRoutes:
    """The handlers of tunnels, and the table of their routes."""

    def __init__(self, here: Installation) -> None:
        self._accounts = here.accounts
        self._tunnels = here.tunnels
        self._configurations = here.configurations
        self._hostnames = here.hostnames
        self._traffic = here.traffic
        self._vault = here.vault

    def table(self) -> Iterator[Route]:
        """Every route of tunnels."""
        one, many = shapes.TunnelResult, list[shapes.TunnelResult]
        yield _read(_TUNNELS, self.find, "The tunnels of an account", many, *_FILTERS, paged=True)
        yield _read(
            "/accounts/{account_id}/tunnels", self.find, "The tunnels of an account, of every type", many,
            *_FILTERS, _KINDS, paged=True,
        )  # fmt: skip
        yield _write("POST", _TUNNELS, self.create, "Make a tunnel", shapes.NewTunnelResult, shapes.NewTunnel)
        yield _read(_TUNNEL, self.get, "One tunnel", one)
        yield _write("PATCH", _TUNNEL, self.edit, "Change a tunnel", one, shapes.TunnelEdit)
        yield _write("DELETE", _TUNNEL, self.delete, "Delete a tunnel", one, None, _CASCADE)
        yield _write("GET", f"{_TUNNEL}/token", self.token, "What a connector is started with", str)
        yield _read(
            f"{_TUNNEL}/connections", self.connections, "What is connected", list[shapes.ClientResult]
        )
        yield _write(
            "DELETE",
            f"{_TUNNEL}/connections",
            self.clean_up,
            "Close what is connected",
            NULL,
            None,
            _CLIENT_ID,
        )
        yield _read(
            f"{_TUNNEL}/connectors/{{connector_id}}", self.connector, "One connector", shapes.ClientResult
        )
        yield _read(
            f"{_TUNNEL}/traffic", self.traffic, "What has passed, by hostname", list[shapes.TrafficResult]
        )
        configuration = f"{_TUNNEL}/configurations"
        yield _read(configuration, self.configuration, "The configuration", shapes.ConfigurationResult)
        yield _write(
            "PUT", configuration, self.configure, "Set the configuration", shapes.ConfigurationResult,
            shapes.NewConfiguration,
        )  # fmt: skip
        management = f"{_TUNNEL}/management"
        yield _write("POST", management, self.manage, "Make a management token", str, shapes.Resources)
        yield _write(
            "POST", f"{management}/{{resource}}", self.manage, "Make a management token for one thing", str
        )
        yield _write(
            "PUT", "/zones/{zone_id}/tunnels/{tunnel_id}/routes", self.claim, "Claim a hostname", shapes.RouteResult,
            shapes.NewRoute,
        )  # fmt: skip
        for method, path in _WARP_CONNECTOR:
            if method == "GET":
                yield _read(path, _not_offered, "Not offered: WARP connectors", NULL)
            else:
                yield _write(method, path, _not_offered, "Not offered: WARP connectors", NULL)

    def find(self, call: Call) -> Answer:
        """Tunnels by filter; their connections with them."""
        number, size = call.number("page", 1), call.number("per_page", PER_PAGE)
        kinds = {each for each in call.every("tun_types") if each}
        if kinds and "cfd_tunnel" not in kinds:
            return answered([], ResultInfo(0, number, size, 0))
        found, total = self._tunnels.find(_account(call), _filter(call), number, size)
        shown = [shapes.tunnel_result(each) for each in found]
        return answered(shown, ResultInfo(len(shown), number, size, total))

    def create(self, call: Call) -> Answer:
        """Make a tunnel."""
        given: shapes.NewTunnel = call.given
        with _told():
            secret = None if given.tunnel_secret is None else secret_of(given.tunnel_secret)
            tunnel, token = self._tunnels.create(_account(call), given.name, given.config_src, secret)
        return answered(shapes.new_tunnel_result(tunnel, token))

    def get(self, call: Call) -> Answer:
        """One tunnel, a deleted one too."""
        return answered(shapes.tunnel_result(self._tunnels.get(_account(call), _tunnel(call))))

    def edit(self, call: Call) -> Answer:
        """Another name or secret."""
        given: shapes.TunnelEdit = call.given
        with _told():
            secret = None if given.tunnel_secret is None else secret_of(given.tunnel_secret)
            changed = self._tunnels.edit(_account(call), _tunnel(call), given.name, secret)
        return answered(shapes.tunnel_result(changed))

    def delete(self, call: Call) -> Answer:
        """Delete, unless something is connected and is not to be cleaned up."""
        gone = self._tunnels.delete(_account(call), _tunnel(call), call.one("cascade") == "true")
        return answered(shapes.tunnel_result(gone))

    def token(self, call: Call) -> Answer:
        """The token of `cloudflared tunnel run --token`."""
        return answered(str(self._tunnels.token(_account(call), _tunnel(call))))

    def connections(self, call: Call) -> Answer:
        """What is connected, by connector."""
        found = self._tunnels.connectors(_account(call), _tunnel(call))
        return answered([shapes.client_result(each) for each in found])

    def clean_up(self, call: Call) -> Answer:
        """Close what is connected, of one connector or all."""
        client = call.one("client_id")
        self._tunnels.clean_up(_account(call), _tunnel(call), client and client.lower())
        return answered(None)

    def connector(self, call: Call) -> Answer:
        """One connector."""
        for each in self._tunnels.connectors(_account(call), _tunnel(call)):
            if each.id == call.path["connector_id"].lower():
                return answered(shapes.client_result(each))
        raise MissingError(1003, "Connector not found")

    def traffic(self, call: Call) -> Answer:
        """What has passed to the hostnames of a tunnel; a deleted one has none."""
        tunnel = self._tunnels.get(_account(call), _tunnel(call))
        return answered([shapes.traffic_result(each) for each in self._traffic.of(tunnel.id)])

    def configuration(self, call: Call) -> Answer:
        """The latest version of the configuration."""
        found = self._configurations.get(_account(call), _tunnel(call))
        return answered(shapes.configuration_result(_account(call), found))

    def configure(self, call: Call) -> Answer:
        """Set the next version."""
        given: shapes.NewConfiguration = call.given
        made = self._configurations.put(_account(call), _tunnel(call), given.config or {})
        return answered(shapes.configuration_result(_account(call), made))

    def manage(self, call: Call) -> Answer:
        """A token for the connectors' own pages."""
        account, tunnel = _account(call), _tunnel(call)
        if self._tunnels.get(account, tunnel).deleted is not None:
            raise MissingError(1003, "Tunnel not found")
        wanted = [call.path["resource"]] if "resource" in call.path else list(call.given.resources)
        return answered(self._vault.management_token(account, tunnel, call.principal.user.id, wanted))

    def claim(self, call: Call) -> Answer:
        """Let a hostname of a zone lead to a tunnel."""
        zone = self._hostnames.zone(call.path["zone_id"])
        if zone is None or self._accounts.account(call.principal, zone.account) is None:
            raise MissingError(1001, "Zone not found")
        given: shapes.NewRoute = call.given
        made = self._hostnames.claim(zone, _tunnel(call), given.user_hostname, given.overwrite_existing)
        return answered(shapes.RouteResult(made.change, made.hostname))


_WARP_CONNECTOR: Final = tuple(
    (method, f"/accounts/{{account_id}}/warp_connector{below}")
    for below, methods in (
        ("", ("GET", "POST")),
        ("/{tunnel_id}", ("GET", "PATCH", "DELETE")),
        ("/{tunnel_id}/token", ("GET",)),
        ("/{tunnel_id}/connections", ("GET", "DELETE")),
        ("/{tunnel_id}/connectors/{connector_id}", ("GET",)),
        ("/{tunnel_id}/configurations", ("GET", "PUT")),
        ("/{tunnel_id}/failover", ("PUT",)),
    )
    for method in methods
)


def _not_offered(_: Call) -> Answer:
    raise NotOfferedError(
        "WARP connectors are not offered here; a tunnel of cloudflared is made under cfd_tunnel"
    )


def _read(
    path: str,
    handler: Callable[[Call], Answer],
    summary: str,
    result: Any,
    *parameters: Parameter,
    paged: bool = False,
) -> Route:
    return Route(
        "GET", path, handler, summary, result, TUNNELS_READ, service=_SERVICE, parameters=parameters,
        path_parameters=_in(path), check=_bad_times, tags=_TAGS, paged=paged,
    )  # fmt: skip


def _write(
    method: str, path: str, handler: Callable[[Call], Answer], summary: str, result: Any, body: Any = None,
    *parameters: Parameter,
) -> Route:  # fmt: skip
    return Route(
        method, path, handler, summary, result, TUNNELS_WRITE, service=_SERVICE, parameters=parameters,
        path_parameters=_in(path), tags=_TAGS, body=body, waits=method == "DELETE",
    )  # fmt: skip


def _in(path: str) -> tuple[Parameter, ...]:
    known = (ACCOUNT_ID, _ZONE_ID, TUNNEL_ID, CONNECTOR_ID, _RESOURCE)
    return tuple(each for each in known if f"{{{each.name}}}" in path)


@contextmanager
def _told() -> Iterator[None]:
    """Tell of what cannot be used as the API does."""
    try:
        yield
    except UsageError as error:
        raise InvalidError(
            [Rejected(error.name, str(error.value), error.accepted)], _SERVICE.rejected
        ) from None


def _account(call: Call) -> str:
    if call.account is None:
        raise ForbiddenError
    return call.account.id


def _tunnel(call: Call) -> str:
    return call.path["tunnel_id"].lower()


def _filter(call: Call) -> Filter:
    deleted, status, tunnel = call.one("is_deleted"), call.one("status"), call.one("uuid")
    existed, active, inactive = (_moment(call, each.name) for each in _TIMES)
    return Filter(
        id=tunnel and tunnel.lower(),
        name=call.one("name"),
        prefixes=tuple(filter(None, map(call.one, ("include_prefix", "name_prefix")))),
        without_prefix=call.one("exclude_prefix"),
        # Whether a tunnel existed then is a question to the deleted ones as well.
        deleted=(None if existed is not None else False) if deleted is None else deleted == "true",
        existed_at=existed,
        active_at=active,
        inactive_at=inactive,
        status=None if status is None else Status(status),
    )


def _moment(call: Call, name: str) -> int | None:
    """A time in microseconds; clients encode it once more than they should (the SDK's `existed_at`)."""
    text = call.one(name)
    if text is None:
        return None
    return shapes.micros(datetime.fromisoformat(unquote(text).replace(" ", "+")))


def _bad_times(call: Call) -> Sequence[Rejected]:
    found = []
    for each in _TIMES:
        try:
            _moment(call, each.name)
        except (ValueError, OverflowError):
            found.append(Rejected(each.name, call.one(each.name) or "", each.accepted))
    return found
