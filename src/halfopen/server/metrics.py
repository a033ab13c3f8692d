"""/metrics for Prometheus: sums and times, of nobody in particular. Outside of the API, without a token."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from halfopen.api.access import Seen
from halfopen.server.upkeep import RegularUpkeep
from halfopen.server.vitals import Vitals
from halfopen.store.counters import COUNTERS, DECIDED
from halfopen.store.ledger import Sensor

OTHER: Final = "other"
"""Stands for every path without a route: paths are the client's own words and without end."""

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """Counts requests, and tells them with what is known of store and upkeep, and of what runs beside."""

    def __init__(self, vitals: Vitals, upkeep: RegularUpkeep, *beside: Collector) -> None:
        # Its own: the registry of the process is shared with whatever else uses the library.
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "halfopen_requests", "Requests answered.", ("route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "halfopen_request_seconds",
            "Seconds from a request to the end of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        for each in (_Looked(vitals, upkeep), *beside):
            self._registry.register(each)

    def observe(self, request: Seen, seconds: float) -> None:
        """Count a request that is over."""
        route = request.route or OTHER
        self._requests.labels(route, str(request.status or "closed")).inc()
        self._seconds.labels(route).observe(seconds)

    def page(self) -> Route:
        """The page to be scraped."""

        async def metrics(_: Request) -> Response:
            text = await run_in_threadpool(generate_latest, self._registry)
            return Response(text, headers={"content-type": CONTENT_TYPE_LATEST, "cache-control": "no-store"})

        return Route("/metrics", metrics)


class _Looked(Collector):
    """What is looked at when it is asked for."""

    def __init__(self, vitals: Vitals, upkeep: RegularUpkeep, clock: Callable[[], float] = time.time) -> None:
        self._vitals, self._upkeep, self._clock = vitals, upkeep, clock

    def describe(self) -> list[Metric]:
        """Nothing: else the store would be looked at on registration."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Store, dataset, upkeep; what is not known is left out."""
        look = self._vitals.look()
        yield _gauge("halfopen_store_readable", "Whether the store can be read.", int(look is not None))
        if look is not None:
            for name in ("rows", "bytes", "files"):
                family = GaugeMetricFamily(
                    f"halfopen_table_{name}", f"{name.capitalize()} of a table.", labels=["table"]
                )
                for table in look.tables:
                    family.add_metric([table.name], getattr(table, name))
                yield family
            closed, updated = look.state.closed, look.state.updated
            yield _gauge(
                "halfopen_dataset_closed_timestamp_seconds", "Up to when buckets are closed.", closed
            )
            if updated:
                words = "When something was last added."
                yield _gauge("halfopen_dataset_updated_timestamp_seconds", words, updated)
            words = "Sensors of which two incarnations watch at once: what both see is counted twice."
            yield _gauge("halfopen_sensors_running_twice", words, look.running_twice)
            yield from _of_sensors(look.sensors, self._clock())
        if self._upkeep.last:
            words = "When the last whole upkeep ended."
            yield _gauge("halfopen_upkeep_timestamp_seconds", words, self._upkeep.last)
        yield CounterMetricFamily(
            "halfopen_upkeep_failures", "Runs of upkeep that failed.", self._upkeep.failures
        )


def _of_sensors(sensors: Sequence[Sensor], now: float) -> Iterator[Metric]:
    """What sensors count, and how far each is behind. Their names are told to those who may ask: here it is incarnations."""
    lag = GaugeMetricFamily(
        "halfopen_sensor_lag_seconds", "Time since the watermark of a sensor.", labels=["incarnation"]
    )
    rate = GaugeMetricFamily(
        "halfopen_sensor_sampling_rate", "Share of connections that are sampled.", labels=["incarnation"]
    )
    dropped = CounterMetricFamily(
        "halfopen_sensor_dropped_packets",
        "Packets that a sensor lost, as it counts them.",
        labels=["incarnation"],
    )
    stages = CounterMetricFamily(
        "halfopen_sensor_judged_connections",
        "Connections that a sensor judged.",
        labels=["incarnation", "stage"],
    )
    plain = {
        name: CounterMetricFamily(
            _named(name, words), f"{words[0].upper()}{words[1:]}.", labels=["incarnation"]
        )
        for name, words in COUNTERS.items()
        if name not in DECIDED
    }
    for sensor in sensors:
        lag.add_metric([sensor.incarnation], max(0.0, now - sensor.watermark))
        rate.add_metric([sensor.incarnation], sensor.rate)
        dropped.add_metric([sensor.incarnation], sensor.drops)
        for name, count in sensor.counters.items():
            if name in DECIDED:
                stages.add_metric([sensor.incarnation, name], count)
            elif name in plain:
                plain[name].add_metric([sensor.incarnation], count)
    yield from (lag, rate, dropped, stages, *plain.values())


def _named(counter: str, words: str) -> str:
    unit, _, _ = words.partition(" ")
    return f"halfopen_sensor_{unit if counter == unit else f'{counter}_{unit}'}"


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(name, words, value)
