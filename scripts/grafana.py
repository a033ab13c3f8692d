"""The dashboard for Grafana over the three ``/metrics``: of a server, an edge and a sensor."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS: Final = 24
"""As wide as a page of Grafana."""
SITE: Final = 'hostname=~"$hostname"'
TOLD: Final = 'incarnation!=""'
"""What the server tells of sensors, and not they themselves."""
OWN: Final = 'incarnation=""'


@dataclass(frozen=True)
class Panel:
    """What one chart asks, by the legend of each question; a unit of Grafana; words for who points at it."""

    title: str
    unit: str
    asked: dict[str, str]
    words: str
    stacked: bool = False
    now: bool = False
    """Whether only the value of the moment is shown."""


def rate(metric: str, by: str, selector: str = "") -> str:
    """A counter by labels, each second."""
    return f"sum by ({by}) (rate({metric}{{{selector}}}[$__rate_interval]))"


def slowest(metric: str, by: str, selector: str = "") -> str:
    """What 95 of 100 are faster than, by labels."""
    return f"histogram_quantile(0.95, {rate(f'{metric}_bucket', f'le, {by}' if by else 'le', selector)})"


def lost(dropped: str, received: str, by: str) -> str:
    """The share of packets that were lost."""
    return f"{rate(dropped, by)} / {rate(received, by)}"


SECTIONS: Final[dict[str, Sequence[Panel]]] = {
    "Now": (
        Panel(
            "Dataset can be read", "bool_yes_no", {"": "min(halfopen_store_readable)"},
            "Whether the server can read its dataset.", now=True,
        ),
        Panel(
            "Connections of connectors", "short", {"": "sum(halfopen_edge_connections) or vector(0)"},
            "Each cloudflared opens four.", now=True,
        ),
        Panel(
            "Sensors running twice", "short", {"": "max(halfopen_sensors_running_twice)"},
            "Above 0: what both see is counted twice. End one of them.", now=True,
        ),
        Panel(
            "Sensor farthest behind", "s", {"": f"max(halfopen_sensor_lag_seconds{{{TOLD}}})"},
            "From the watermark to now. Up to 25 minutes are ordinary: silence takes long to be told from a pause.", now=True,
        ),
    ),
    "Server": (
        Panel(
            "Requests", "reqps", {"{{status}}": rate("halfopen_requests_total", "status")},
            "Requests of the API by their status.", stacked=True,
        ),
        Panel(
            "Slow requests", "s", {"{{route}}": slowest("halfopen_request_seconds", "route")},
            "95 of 100 requests are faster.",
        ),
        Panel(
            "Errors", "reqps",
            {"{{status}} {{route}}": rate("halfopen_requests_total", "status, route", 'status=~"4..|5.."')},
            "Requests that were refused (4xx) or failed (5xx).",
        ),
    ),
    "Dataset": (
        Panel("Rows", "short", {"{{table}}": "max by (table) (halfopen_table_rows)"}, "Rows of the tables."),
        Panel("Size", "bytes", {"{{table}}": "max by (table) (halfopen_table_bytes)"}, "Bytes of the tables."),
        Panel(
            "Files", "short", {"{{table}}": "max by (table) (halfopen_table_files)"},
            "Files of the tables; upkeep puts small ones together.",
        ),
        Panel(
            "Age", "s",
            {
                "something added": "time() - max(halfopen_dataset_updated_timestamp_seconds)",
                "buckets closed": "time() - max(halfopen_dataset_closed_timestamp_seconds)",
                "upkeep": "time() - max(halfopen_upkeep_timestamp_seconds)",
            },
            "Since when nothing was added, up to when answers reach, and how long ago upkeep was whole (every 15 minutes).",
        ),
        Panel(
            "Failures of upkeep", "short", {"failures": "sum(increase(halfopen_upkeep_failures_total[$__rate_interval]))"},
            "The log of the server says why.",
        ),
    ),
    "Edge": (
        Panel(
            "Connections", "short", {"{{transport}}": "sum by (transport) (halfopen_edge_connections)"},
            "Connections of connectors by transport.", stacked=True,
        ),
        Panel(
            "Registrations", "short",
            {"{{outcome}}": "sum by (outcome) (increase(halfopen_edge_registrations_total[$__rate_interval]))"},
            "Connections that wanted in: accepted, or why not.", stacked=True,
        ),
        Panel(
            "Departures", "short", {"{{how}}": "sum by (how) (increase(halfopen_edge_departures_total[$__rate_interval]))"},
            "Connections that left in order, or were lost.", stacked=True,
        ),
        Panel(
            "Requests by hostname", "reqps", {"{{hostname}}": rate("halfopen_edge_requests_total", "hostname", SITE)},
            "Without a name: no route led anywhere.", stacked=True,
        ),
        Panel(
            "Requests by status", "reqps", {"{{status}}": rate("halfopen_edge_requests_total", "status", SITE)},
            "1xx are websockets; closed: the visitor left before there was an answer.", stacked=True,
        ),
        Panel(
            "Slow requests", "s", {"{{hostname}}": slowest("halfopen_edge_request_seconds", "hostname", SITE)},
            "95 of 100 requests are over sooner, the origin's time included.",
        ),
        Panel(
            "Bytes", "Bps", {"{{hostname}} {{way}}": rate("halfopen_edge_bytes_total", "hostname, way", SITE)},
            "Bodies, in from visitors and out to them.",
        ),
    ),
    "Sensors, as the server has them": (
        Panel(
            "Connections by stage", "cps",
            {"{{stage}}": rate("halfopen_sensor_judged_connections_total", "stage")},
            "Connections that sensors judged, each second; of a sample, those in it.", stacked=True,
        ),
        Panel(
            "Lost packets", "percentunit",
            {"{{incarnation}}": lost("halfopen_sensor_dropped_packets_total", "halfopen_sensor_received_packets_total", "incarnation")},
            "More than a hundredth in a quarter of an hour annotates itself.",
        ),
        Panel(
            "Sampling rate", "percentunit", {"{{incarnation}}": "halfopen_sensor_sampling_rate"},
            "Share of connections that are looked at.",
        ),
        Panel(
            "Behind", "s", {"{{incarnation}}": f"halfopen_sensor_lag_seconds{{{TOLD}}}"},
            "From the watermark to now.",
        ),
        Panel(
            "Without a stage", "cps",
            {
                "left out": rate("halfopen_sensor_left_out_connections_total", "job"),
                "evicted": rate("halfopen_sensor_evicted_connections_total", "job"),
                "unsampled": rate("halfopen_sensor_unsampled_connections_total", "job"),
                "lost by a full spool": rate("halfopen_sensor_lost_connections_total", "job"),
            },
            "Connections that are in no share, and why.",
        ),
        Panel(
            "In the spool", "short",
            {"{{incarnation}}": "halfopen_sensor_spooled_connections_total - halfopen_sensor_delivered_connections_total"},
            "Connections put into the spool by the process that runs, less those delivered, as of its last batch.",
        ),
    ),
    "Sensors, by themselves": (
        Panel(
            "Packets", "pps",
            {
                "{{instance}} received": rate("halfopen_sensor_received_total", "instance"),
                "{{instance}} dropped": rate("halfopen_sensor_dropped_total", "instance"),
            },
            "Packets that the system meant to hand on, and those that found no room.",
        ),
        Panel(
            "Connections by stage", "cps", {"{{stage}}": rate("halfopen_sensor_connections_total", "stage")},
            "Connections with a stage.", stacked=True,
        ),
        Panel(
            "Followed", "short", {"{{instance}}": "halfopen_sensor_live"},
            "Connections in the table. At three quarters of --max-connections the sample is halved.",
        ),
        Panel(
            "Sampling rate", "percentunit", {"{{instance}}": "halfopen_sensor_rate"}, "The one in force.",
        ),
        Panel(
            "In the spool", "short",
            {"{{instance}}": 'halfopen_sensor_rows_total{what="spooled"} - ignoring(what) halfopen_sensor_rows_total{what="delivered"}'},
            "Connections put into the spool since the process began, less those delivered.",
        ),
        Panel(
            "Behind", "s", {"{{instance}}": f"halfopen_sensor_lag_seconds{{{OWN}}}"},
            "From the watermark that was handed on last to now.",
        ),
        Panel(
            "Cannot be watched", "short",
            {"{{instance}} sources": "halfopen_sensor_waiting", "{{instance}} clock set": "halfopen_sensor_clock_steps_total"},
            "Interfaces that are away at the moment; how often the clock of the system was set.",
        ),
    ),
}  # fmt: skip


def dashboard() -> str:
    """The dashboard as JSON, as Grafana imports it."""
    whole = {
        "uid": "halfopen",
        "title": "Halfopen",
        "description": "Server, dataset, edge and sensors, from their /metrics.",
        "tags": ["halfopen"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": variables()},
        "panels": list(placed()),
    }
    return json.dumps(whole, indent=1) + "\n"


def variables() -> list[dict[str, Any]]:
    """What the reader chooses: the Prometheus, and hostnames."""
    return [
        {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
        {
            "name": "hostname", "label": "Hostname", "type": "query", "datasource": SOURCE,
            "query": "label_values(halfopen_edge_requests_total, hostname)", "refresh": 2,
            "includeAll": True, "allValue": ".*", "multi": True, "current": {"text": "All", "value": "$__all"},
        },
    ]  # fmt: skip


def placed() -> Iterator[dict[str, Any]]:
    """Every panel in its place, under the title of its section."""
    number, y = 0, 0
    for title, panels in SECTIONS.items():
        number += 1
        yield {"id": number, "type": "row", "title": title, "gridPos": at(0, y, COLUMNS, 1), "panels": []}
        y += 1
        width = COLUMNS // (4 if panels[0].now else 3)
        height = 4 if panels[0].now else 8
        for place, panel in enumerate(panels):
            number += 1
            row, column = divmod(place, COLUMNS // width)
            position = at(column * width, y + row * height, width, height)
            yield {"id": number, "gridPos": position, **drawn(panel)}
        y += -(-len(panels) // (COLUMNS // width)) * height


def at(x: int, y: int, width: int, height: int) -> dict[str, int]:
    """A place on the page."""
    return {"x": x, "y": y, "w": width, "h": height}


def drawn(panel: Panel) -> dict[str, Any]:
    """One panel, without its place."""
    targets = [
        {"refId": chr(ord("A") + place), "expr": expression, "legendFormat": legend, "datasource": SOURCE}
        for place, (legend, expression) in enumerate(panel.asked.items())
    ]
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if panel.stacked:
        defaults["custom"] = {"stacking": {"mode": "normal"}, "fillOpacity": 40}
    return {
        "type": "stat" if panel.now else "timeseries",
        "title": panel.title,
        "description": panel.words,
        "datasource": SOURCE,
        "targets": targets,
        "fieldConfig": {"defaults": defaults, "overrides": []},
    }
