"""What an edge counts: each request once, under labels that nobody can make more of."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from prometheus_client import generate_latest

from halfopen.edge import traffic
from halfopen.edge.metrics import EdgeMetrics
from halfopen.tunnels.registrations import SECRET, Refused, Registered
from halfopen.tunnelwire.exchange import Broken
from tests.edge.playing import HOST, NAME, edge, leave, run, until
from tests.edge.test_lifecycle import free_port, started

SITE = {"tunnel": "tunnel", "hostname": NAME}
NOWHERE = {"tunnel": "", "hostname": ""}


def value(metrics: EdgeMetrics, name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(f"halfopen_edge_{name}", labels) or 0


async def say(address: tuple[str, int], request: bytes) -> bytes:
    """All that comes for a request, until the connection ends."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(request)
    try:
        return await reader.read()
    finally:
        leave(writer)


def test_what_passed_is_told_with_the_time_since_all_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(traffic, "time", SimpleNamespace(monotonic=lambda: clock.now))
    passing = traffic.Traffic()
    for now, heard, within in (
        (10.0, True, 10.0),
        (20.0, False, 10.0),
        (40.0, True, 30.0),
        (50.0, True, 10.0),
    ):
        clock.now = now
        passing.count("tunnel", NAME, "2xx", 1, 1, 0.1)
        told, seconds = passing.untold()
        assert seconds == within
        clock.now = now + 1
        if heard:
            passing.told(told)
            passing.all_told()
    clock.now = 60.0
    assert passing.untold() == ([], 10.0)


def test_requests_are_counted_by_where_they_lead_and_what_became_of_them() -> None:
    async def scene() -> None:
        async with edge() as (connector, visitors, address):
            metrics = visitors.front.metrics
            post = b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\nConnection: close\r\n\r\nhello"
            visit = asyncio.create_task(say(address, post))
            asked = await connector.next()
            await until(lambda: asked.ended)
            assert value(metrics, "requests_total", **SITE, status="2xx") == 0
            asked.answer(201, [], b"abc", b"defg")
            await visit
            assert value(metrics, "requests_total", **SITE, status="2xx") == 1
            assert value(metrics, "bytes_total", **SITE, way="in") == 5
            assert value(metrics, "bytes_total", **SITE, way="out") == 7
            assert value(metrics, "request_seconds_count", **SITE) == 1

            get = b"GET / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
            visit = asyncio.create_task(say(address, get))
            (await connector.next()).exchange.reply(Broken("gone"))
            await visit
            assert value(metrics, "requests_total", **SITE, status="5xx") == 1

            visit = asyncio.create_task(say(address, get))
            await connector.next()
            visit.cancel()
            await until(lambda: value(metrics, "requests_total", **SITE, status="closed") == 1)

            for host in (b"one.example.com", b"two.example.com", b"management.argotunnel.com", b"%%"):
                await say(address, b"GET / HTTP/1.0\r\nHost: " + host + b"\r\n\r\n")
            assert value(metrics, "requests_total", **NOWHERE, status="4xx") == 4
            assert b"two.example.com" not in generate_latest(metrics.registry)

    run(scene())


def test_refusals_are_counted_by_reasons_of_a_set_with_an_end() -> None:
    metrics = EdgeMetrics()
    metrics.registered("quic", Registered("id", remotely_managed=True))
    metrics.registered("http2", Registered("id", remotely_managed=True))
    for cause in (SECRET, SECRET, "something new", "something else"):
        metrics.registered("http2", Refused(cause))
    metrics.left("quic", lost=True)
    assert value(metrics, "connections", transport="quic") == 0
    assert value(metrics, "connections", transport="http2") == 1
    assert value(metrics, "departures_total", transport="quic", how="lost") == 1
    for outcome, count in {"accepted": 1, "wrong_secret": 2, "other": 2}.items():
        assert value(metrics, "registrations_total", transport="http2", outcome=outcome) == count
    assert b"something" not in generate_latest(metrics.registry)


def test_the_page_of_metrics_is_one_and_has_no_times_of_beginning(tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    ports = "--listen", "127.0.0.1:0", "--visitors", "127.0.0.1:0"
    with started(tmp_path / "log", tmp_path / "data", "edge", *ports, "--metrics", address) as edge:
        httpx.get(f"http://{edge.visitors}")
        told = httpx.get(f"http://{address}/metrics")
        assert told.status_code == 200
        assert "halfopen_edge_requests_total{" in told.text
        assert "_created" not in told.text
        assert httpx.get(f"http://{address}/").status_code == 404
