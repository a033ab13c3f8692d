"""What edges are told to route and to push by, and what they hand in of connectors' configurations: over the API and in one process alike."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import msgspec

from halfopen.tunnels.configurations import Configuration, Configurations
from halfopen.tunnels.hostnames import Hostnames
from halfopen.tunnels.registry import Registry
from halfopen.tunnels.sessions import Session


class Pushed(msgspec.Struct, frozen=True):
    """A configuration to be pushed to the connectors of a tunnel."""

    version: int
    config: dict[str, Any]


class RoutingResult(msgspec.Struct, frozen=True):
    """Where hostnames lead (to tunnels, by id; null: nowhere any more), and the configurations of the tunnels of which this edge holds
    connections: all, or where not `complete` those that have changed."""

    routing: int
    hostnames: Mapping[str, str | None]
    configurations: dict[str, Pushed]
    complete: bool = True


class Desk:
    """Answers to edges, of one installation. Everything raises SessionError where the session is over."""

    def __init__(self, registry: Registry, configurations: Configurations, hostnames: Hostnames) -> None:
        self._registry, self._configurations, self._hostnames = registry, configurations, hostnames

    def routing(self, session: Session, since: int = -1) -> RoutingResult:
        """What an edge routes and pushes by: everything, or what has changed since the number `since`, if that is not too long ago."""
        # The number first: what changes meanwhile is news again.
        number = self._registry.news(session, -1, 0).routing
        changed = self._hostnames.changed(since) if since >= 0 else None
        if changed is not None:
            pushed = self._configurations.to_push(session.edge, since)
            return RoutingResult(number, changed, _pushed(pushed), complete=False)
        every = self._hostnames.routing()
        return RoutingResult(number, every, _pushed(self._configurations.to_push(session.edge)))

    def configurations(self, session: Session, tunnels: Collection[str]) -> dict[str, Pushed]:
        """What to push to the connectors of some tunnels, by tunnel: where the edge holds connections and there is something."""
        self._registry.check(session)
        return _pushed(self._configurations.to_push(session.edge, tunnels=tunnels))

    def report(
        self, session: Session, connection: str, applied: int | None, configuration: dict[str, Any] | None
    ) -> None:
        """Keep what the connector behind a connection says: which version it uses, what its own configuration is."""
        tunnel = self._registry.report(session, connection, applied)
        if tunnel is not None and configuration is not None:
            self._configurations.report(tunnel, configuration, connection)


def _pushed(configurations: Sequence[Configuration]) -> dict[str, Pushed]:
    return {each.tunnel: Pushed(each.version, each.config or {}) for each in configurations}
