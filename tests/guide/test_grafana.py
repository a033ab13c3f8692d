"""The dashboard asks for what is told, and docs/grafana.md shows what works."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import chdir, closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, cast

import anyio
import httpx
import numpy as np
import psycopg
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from starlette.responses import Response

from halfopen.capture.live.wire import Losses
from halfopen.cli.main import parser
from halfopen.edge.metrics import NOWHERE, EdgeMetrics
from halfopen.model import STAGES, Counter
from halfopen.sampling import Sampling
from halfopen.sensor.metrics import SensorMetrics
from halfopen.sensor.outgoing import Outgoing
from halfopen.sensor.sensor import Report
from halfopen.server.metrics import Metrics
from halfopen.server.vitals import Vitals
from halfopen.store.committer import Batch
from halfopen.store.counters import COUNTERS
from halfopen.store.store import Store
from halfopen.tunnels.registrations import SECRET, Refused, Registered
from tests.conftest import Require
from tests.databases.cluster import Cluster
from tests.guide.conftest import Served
from tests.house.project import DOCS, ROOT, code
from tests.store.rows import row, table

PAGE: Final = DOCS / "grafana.md"
DASHBOARD: Final = json.loads((ROOT / "packaging" / "grafana" / "halfopen.json").read_text())
QUESTIONS: Final = [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]
RULES: Final = re.findall(r"^ +expr: (.*)$", PAGE.read_text(), re.MULTILINE)
OF_PROMETHEUS: Final = {"job", "instance"}
"""Labels that it adds itself."""

Told = dict[str, list[dict[str, str]]]
"""The labels of each series, by its name."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """What server, edge and sensor tell once something has happened to each of them."""
    pages = [server(tmp_path_factory.mktemp("store")), edge(), sensor()]
    found: Told = {}
    for page in pages:
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                found.setdefault(sample.name, []).append(dict(sample.labels))
    return found


def server(place: Path) -> str:
    with closing(Store(place, create=True, threads=1)) as store:
        now = int(time.time())
        counted = dict.fromkeys(COUNTERS, 1)
        store.committer().commit([Batch("lyon", "one", 1, now, table([row(now)]), counters=counted)])
        metrics = Metrics(Vitals(store), cast(Any, SimpleNamespace(last=1.0, failures=0)))
        request = SimpleNamespace(route="/user", status=200)
        metrics.observe(cast(Any, request), 0.1)
        answer: Response = anyio.run(metrics.page().endpoint, None)
        return bytes(answer.body).decode()


def edge() -> str:
    metrics = EdgeMetrics()
    metrics.request(NOWHERE, 404, 1, 1, 0.1)
    metrics.registered("quic", Registered("connection", False))
    metrics.registered("quic", Refused(SECRET))
    metrics.left("quic", lost=True)
    return generate_latest(metrics.registry).decode()


def sensor() -> str:
    report = Report(Losses(1, 0), np.zeros(len(Counter), np.int64), (0,) * len(STAGES), Sampling(), 0, 0, 0)
    spool = SimpleNamespace(spooled=1, delivered=1, lost=0, damaged=0)
    outlet = SimpleNamespace(counts=lambda: Outgoing.counts(cast(Any, SimpleNamespace(_spool=spool))))
    registry = CollectorRegistry()
    registry.register(SensorMetrics(lambda: report, cast(Any, outlet)))
    return generate_latest(registry).decode()


def series(question: str) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """Each series that is asked for, with what is asked of its labels."""
    for name, chosen in re.findall(r"\b(halfopen_\w+)(?:\{([^}]*)\})?", question):
        yield name, re.findall(r'(\w+)(=~|!=|=)"([^"]*)"', chosen)


@pytest.mark.parametrize("question", [*QUESTIONS, *RULES])
def test_what_is_asked_is_told(question: str, told: Told) -> None:
    asked = list(series(question))
    assert asked
    for name, chosen in asked:
        labels = {label for each in told[name] for label in each} | OF_PROMETHEUS
        grouped = re.findall(r"(?:by|ignoring) ?\(([^)]*)\)", question)
        used = {label.strip() for group in grouped for label in group.split(",")}
        assert used | {label for label, _, value in chosen if value} <= labels, name
        for label, sign, value in chosen:
            if sign == "=" and value:
                assert value in {each[label] for each in told[name]}


def test_every_legend_has_its_label_in_the_answer() -> None:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
                groups = re.findall(r"by \(([^)]*)\)", target["expr"])
                assert all(label in group for group in groups), target


def test_the_dashboard_holds_together() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert {panel["type"] for panel in panels} == {"row", "stat", "timeseries"}
    taken = [(x, y) for panel in panels for x, y in squares(panel["gridPos"])]
    assert len(set(taken)) == len(taken), "no panel lies on another"
    (hostname,) = (each for each in DASHBOARD["templating"]["list"] if each["name"] == "hostname")
    assert hostname["query"].startswith("label_values(halfopen_edge_requests_total,")


def squares(place: dict[str, int]) -> Iterator[tuple[int, int]]:
    assert place["x"] + place["w"] <= 24
    for x in range(place["x"], place["x"] + place["w"]):
        for y in range(place["y"], place["y"] + place["h"]):
            yield x, y


def test_the_ports_of_the_scrape_configuration_are_those_of_the_command_line() -> None:
    commands = re.findall(r"# halfopen (.*)$", code(PAGE, "yaml")[0], re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        parser().parse_args(shlex.split(command))


def test_the_urls_give_the_columns_that_the_page_names(served: Served) -> None:
    urls = re.findall(r"^http://127.0.0.1:8787(/\S+)$", PAGE.read_text(), re.MULTILINE)
    assert len(urls) == 2
    now = time.time()
    for url in urls:
        for name, at in ("from", now - 86400), ("to", now - 900):
            text = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(at))
            url = url.replace(f"${{__{name}:date:iso}}", text)
        bearer = {"Authorization": f"Bearer {served.token}"}
        answer = httpx.get(f"{served.url}{url}", headers=bearer, timeout=60)
        assert answer.status_code == 200, answer.text
        assert answer.text.startswith("Main timestamps,Main post_syn,")


def test_the_daily_sums_go_into_postgresql(
    served: Served, tmp_path: Path, postgresql: Cluster, require: Require
) -> None:
    require(shutil.which("psql") is not None, "psql (Debian: package postgresql)")
    (program,) = code(PAGE, "python")
    (load,) = (block for block in code(PAGE, "") if block.startswith("psql"))
    (tmp_path / "store").symlink_to(served.data / "store")
    with chdir(tmp_path):
        exec(program, {})
    with postgresql.database() as url:
        for _ in range(2):
            subprocess.run(
                ["bash", "-ec", load.replace("psql", f"psql -q -v ON_ERROR_STOP=1 {shlex.quote(url)}")],
                cwd=tmp_path, check=True, env=os.environ,
            )  # fmt: skip
        with psycopg.connect(url) as connection:
            by_stage = "SELECT stage, sum(connections) FROM days GROUP BY stage"
            found: dict[int, float] = dict(connection.execute(by_stage).fetchall())
    assert found[0] == 807, "as the README has them"
    assert sum(found.values()) == 1290
