"""What an edge counts, for Prometheus: requests of visitors, and connections of connectors. Labels are of sets with an end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import Metric

from halfopen.edge.registry import AWAY
from halfopen.edge.traffic import Traffic
from halfopen.tunnels.registrations import CROWDED, DELETED, SECRET, UNKNOWN, UNREADABLE, Refused, Registered

OTHER: Final = "other"
"""Stands for what would have no end: refusals in words that are not known."""

_OUTCOMES: Final = {
    UNKNOWN: "unknown_tunnel", DELETED: "deleted_tunnel", SECRET: "wrong_secret", UNREADABLE: "unreadable_secret",
    CROWDED: "too_many_connectors", AWAY: "registry_away",
}  # fmt: skip
_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


class Route(NamedTuple):
    """Where a request leads: a name of the routing table (its own, or a ``*.``), and the tunnel."""

    hostname: str = ""
    tunnel: str = ""


NOWHERE: Final = Route()


class _Registry(CollectorRegistry):
    """Without the times at which its series began, which the library adds, a third of all lines."""

    def collect(self) -> Iterator[Metric]:
        for metric in super().collect():
            metric.samples = [each for each in metric.samples if not each.name.endswith("_created")]
            yield metric


class EdgeMetrics:
    """The counters of one edge; `registry` is what Prometheus is told of them, `traffic` what the server is. Requests are counted when
    they are over."""

    def __init__(self) -> None:
        self.registry: CollectorRegistry = _Registry()
        self.traffic = Traffic()
        site = "tunnel", "hostname"
        self._requests = self._counter(
            "requests", "Requests of visitors, by class of status.", *site, "status"
        )
        self._bytes = self._counter(
            "bytes", "Bytes of bodies from visitors (in) and to them (out).", *site, "way"
        )
        self._seconds = Histogram(
            "halfopen_edge_request_seconds", "Seconds from a request to the end of its answer.", site,
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self._connections = Gauge(
            "halfopen_edge_connections", "Connections of connectors.", ("transport",), registry=self.registry
        )
        words = "Registrations of connections, accepted or refused: why."
        self._registrations = self._counter("registrations", words, "transport", "outcome")
        self._departures = self._counter(
            "departures", "Connections that ended, in order or lost.", "transport", "how"
        )

    def request(self, route: Route, status: int | None, received: int, sent: int, seconds: float) -> None:
        """A request is over; its `status` is None where there was no answer before the visitor left."""
        site = route.tunnel, route.hostname
        kind = "closed" if status is None else f"{status // 100}xx"
        if route != NOWHERE:
            self.traffic.count(*site, kind, received, sent, seconds)
        self._requests.labels(*site, kind).inc()
        self._bytes.labels(*site, "in").inc(received)
        self._bytes.labels(*site, "out").inc(sent)
        self._seconds.labels(*site).observe(seconds)

    def registered(self, transport: str, answer: Registered | Refused) -> None:
        """A registration is answered."""
        if isinstance(answer, Registered):
            self._connections.labels(transport).inc()
            outcome = "accepted"
        else:
            outcome = _OUTCOMES.get(answer.cause, OTHER)
        self._registrations.labels(transport, outcome).inc()

    def left(self, transport: str, lost: bool) -> None:
        """A connection that was accepted is gone."""
        self._connections.labels(transport).dec()
        self._departures.labels(transport, "lost" if lost else "left").inc()

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(f"halfopen_edge_{name}", words, labels, registry=self.registry)
