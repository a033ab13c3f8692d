"""What a sensor tells Prometheus of itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from halfopen.model import counts
from halfopen.sensor.sensor import Outlet, Report


class SensorMetrics(Collector):
    """Looks at the counters of a sensor when it is asked."""

    def __init__(self, report: Callable[[], Report], outlet: Outlet) -> None:
        self._report, self._outlet = report, outlet

    def collect(self) -> Iterator[Metric]:
        """All of it."""
        report = self._report()
        yield _counter("received", "Packets that the system meant to hand on.", report.losses.received)
        yield _counter("dropped", "Packets of those that found no room.", report.losses.dropped)
        yield _counters(
            "counted",
            "Packets and connections, by what they were or became.",
            "what",
            counts(report.counters),
        )
        yield _counters("connections", "Connections with a stage.", "stage", report.by_stage())
        yield _counters(
            "rows",
            "Connections on their way into the dataset, by how far they came.",
            "what",
            self._outlet.counts(),
        )
        yield _counter("clock_steps", "How often the clock of the system was set.", report.steps)
        yield _gauge("rate", "Sampling rate in force.", report.sampling.rate)
        yield _gauge("live", "Connections that are followed.", report.live)
        yield _gauge("lag_seconds", "From the watermark that was handed on last to now.", report.lag)
        yield _gauge("waiting", "Sources that cannot be watched at the moment.", len(report.waiting))


def _counter(name: str, words: str, value: float) -> Metric:
    return CounterMetricFamily(f"halfopen_sensor_{name}", words, value)


def _counters(name: str, words: str, label: str, values: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(f"halfopen_sensor_{name}", words, labels=[label])
    for each, value in values.items():
        family.add_metric([each], value)
    return family


def _gauge(name: str, words: str, value: float) -> Metric:
    return GaugeMetricFamily(f"halfopen_sensor_{name}", words, value)
