"""The official SDK against the running server: every parameter, and an exception for every error."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import cloudflare
import httpx
import pytest
from cloudflare import Cloudflare, DefaultAioHttpClient, DefaultAsyncHttpxClient
from cloudflare._response import APIResponse

from tests.dataset import reference
from tests.dataset.conftest import BEGIN, Installation
from tests.dataset.reference import DAY, STAGES, everything

START = datetime.fromtimestamp(BEGIN, UTC) + timedelta(minutes=3, microseconds=123456)


def raw_json(response: APIResponse[Any]) -> Any:
    return response.http_response.json()["result"]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"asn": ["-64496, 64498"]},
        {"location": ["us,-DE"]},
        {"continent": ["EU,NA"]},
        {"format": "JSON"},
        {"date_range": ["1d"]},
        {"date_range": ["52w"]},
        {"date_range": ["7dControl"]},
        {"date_start": [START], "date_end": [START + timedelta(days=3)]},
        {"date_start": [START.replace(tzinfo=None)], "date_end": ["2025-06-18T17:00:00+02:00"]},
        {"extra_query": {"ipVersion": ["IPv6"], "serverPort": "80,443", "sensor": "edge,captures"}},
        {"extra_query": {"signature": "-none", "tag": ["reset", ""]}},
    ],
)
def test_the_strict_client_reads_every_answer(installation: Installation, given: dict[str, Any]) -> None:
    with installation.client() as client:
        summary = client.radar.tcp_resets_timeouts.summary(**given)
        series = client.radar.tcp_resets_timeouts.timeseries_groups(**given)
    assert summary is not None
    assert series is not None
    shares = [float(getattr(summary.summary_0, stage)) for stage in STAGES]
    assert sum(shares) == pytest.approx(100) or not any(shares)
    assert summary.meta.normalization == series.meta.normalization == "PERCENTAGE"
    assert summary.meta.units[0].value == "connections"
    assert summary.meta.date_range[0].start_time == series.meta.date_range[0].start_time
    for stage in STAGES:
        assert len(getattr(series.serie_0, stage)) == len(series.serie_0.timestamps)


@pytest.mark.parametrize(
    ("token", "name"), [("15m", "FIFTEEN_MINUTES"), ("1h", "ONE_HOUR"), ("1d", "ONE_DAY"), ("1w", "ONE_WEEK")]
)
def test_intervals(installation: Installation, token: Any, name: str) -> None:
    with installation.client() as client:
        answer = client.radar.tcp_resets_timeouts.timeseries_groups(
            agg_interval=token, date_start=[START], date_end=[START + timedelta(days=8)]
        )
    assert answer is not None
    assert answer.meta.agg_interval == name
    first, second = answer.serie_0.timestamps[:2]
    assert (second - first).total_seconds() == reference.STEPS[token]


def test_series_with_and_without_names(installation: Installation) -> None:
    with installation.client() as client:
        radar = client.radar.tcp_resets_timeouts
        plain = radar.summary(date_range=["7d", "7dcontrol"], location=["US", "-PT,DE"])
        named = radar.with_raw_response.summary(name=["now", "before"], date_range=["7d", "7dcontrol"])
        series = radar.with_raw_response.timeseries_groups(name=["main_series"], asn=["64496", "64498"])
    assert plain is not None
    assert list(plain.model_extra or {}) == ["summary_1"]
    one, two = plain.meta.date_range
    assert two.end_time == one.start_time
    assert list(raw_json(named)) == ["now", "before", "meta"]
    assert list(raw_json(series)) == ["main_series", "serie_1", "meta"]


def test_csv(installation: Installation) -> None:
    start = BEGIN - BEGIN % 900
    window: dict[str, Any] = {
        "date_start": [datetime.fromtimestamp(start, UTC)],
        "date_end": [datetime.fromtimestamp(start + 2 * DAY, UTC)],
    }
    with installation.client() as client:
        radar = client.radar.tcp_resets_timeouts.with_raw_response
        summary = radar.summary(format="CSV", **window).http_response
        series = radar.timeseries_groups(
            format="CSV", agg_interval="1h", location=["DE"], name=["germany", "everywhere"], **window
        ).http_response
    assert summary.headers["content-type"] == "text/csv; charset=utf-8"
    rows, span = installation.connections, (start, start + 2 * DAY)
    assert summary.text == reference.csv({"summary_0": reference.summary(rows, everything, *span)})
    assert series.text == reference.csv(
        {
            "germany": reference.series(rows, lambda row: row.location == "DE", *span, "1h", span[1] + DAY),
            "everywhere": reference.series(rows, everything, *span, "1h", span[1] + DAY),
        }
    )


def test_every_fault_of_a_request_is_told(installation: Installation) -> None:
    with installation.client() as client, pytest.raises(cloudflare.BadRequestError) as failed:
        client.radar.tcp_resets_timeouts.timeseries_groups(
            agg_interval="2h",  # type: ignore[arg-type]
            asn=["0"],
            location=["string"],
            continent=["XX"],
            format="XML",  # type: ignore[arg-type]
            date_range=["400d"],
            name=["meta"],
            extra_query={"ipVersion": "5", "serverPort": "x", "signature": "y", "tag": "z"},
        )
    assert {error.code for error in failed.value.errors} == {2001}
    parameters = [str(error.message).partition(":")[0] for error in failed.value.errors]
    own = {"ipVersion", "serverPort", "signature", "tag"}
    theirs = {"aggInterval", "asn", "location", "continent", "format", "dateRange", "name"}
    assert sorted(parameters) == sorted(own | theirs)
    assert failed.value.response.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "given",
    [
        {"date_range": ["7d"], "date_start": [START], "date_end": [START + timedelta(days=1)]},
        {"date_start": [START]},
        {"date_start": [START], "date_end": [START]},
        {"date_start": [START], "date_end": [START + timedelta(days=367)]},
        {"date_range": ["7d", "14d"]},
        {"date_range": ["7d", "7dcontrol"], "location": ["US", "DE", "BR"]},
        {"name": ["one", "one"]},
        {"format": "CSV", "location": ["string"]},
    ],
)
def test_what_cannot_be_asked(installation: Installation, given: dict[str, Any]) -> None:
    with installation.client() as client, pytest.raises(cloudflare.BadRequestError) as failed:
        client.radar.tcp_resets_timeouts.summary(**given)
    assert [error.code for error in failed.value.errors] == [2001]
    assert failed.value.response.json()["result"] == {}


def test_too_fine_an_interval(installation: Installation) -> None:
    with installation.client() as client, pytest.raises(cloudflare.BadRequestError):
        client.radar.tcp_resets_timeouts.timeseries_groups(agg_interval="15m", date_range=["12w"])


@pytest.mark.parametrize(
    ("token", "call", "raised", "status", "code"),
    [
        ("unknown", Cloudflare.get, cloudflare.PermissionDeniedError, 403, 9109),
        ("other", Cloudflare.get, cloudflare.PermissionDeniedError, 403, 10000),
        ("radar", Cloudflare.post, cloudflare.APIStatusError, 405, 10405),
        ("radar", Cloudflare.delete, cloudflare.APIStatusError, 405, 10405),
    ],
)
def test_errors_have_their_exceptions(
    installation: Installation,
    token: str,
    call: Callable[..., object],
    raised: type[cloudflare.APIStatusError],
    status: int,
    code: int,
) -> None:
    with installation.client(token) as client, pytest.raises(raised) as failed:
        call(client, "/radar/tcp_resets_timeouts/summary", cast_to=object)
    assert type(failed.value) is raised
    assert (failed.value.status_code, failed.value.errors[0].code) == (status, code)


def test_an_unknown_path(installation: Installation) -> None:
    with installation.client() as client, pytest.raises(cloudflare.NotFoundError) as failed:
        client.get("/radar/tcp_resets_timeouts/nothing", cast_to=object)
    assert failed.value.errors[0].code == 7003


def test_no_token(installation: Installation) -> None:
    with (
        installation.client() as client,
        pytest.raises(cloudflare.BadRequestError) as failed,
    ):
        client.radar.tcp_resets_timeouts.summary(extra_headers={"Authorization": cloudflare.Omit()})
    assert failed.value.errors[0].code == 9106


def test_the_name_of_cloudflares_own_group_opens_it(installation: Installation) -> None:
    with installation.client("user") as client:
        assert client.radar.tcp_resets_timeouts.summary() is not None


@pytest.mark.parametrize("transport", [DefaultAsyncHttpxClient, DefaultAioHttpClient])
def test_the_asynchronous_client(
    installation: Installation, transport: Callable[[], httpx.AsyncClient]
) -> None:
    window = (START, START + timedelta(days=3))

    async def asked() -> list[Any]:
        async with installation.async_client(transport()) as client:
            radar = client.radar.tcp_resets_timeouts
            answers = await asyncio.gather(
                radar.summary(location=["US", "-US"], date_range=["7d", "7dcontrol"]),
                radar.summary(asn=["64496, 64505,-64500"], date_start=[window[0]], date_end=[window[1]]),
                radar.timeseries_groups(agg_interval="1d", continent=["EU"]),
                radar.summary(extra_query={"sensor": "edge"}),
            )
            text = await radar.with_raw_response.summary(format="CSV")
            with pytest.raises(cloudflare.BadRequestError):
                await radar.summary(location=["string"])
        return [*answers, text.http_response.text]

    summary, past, series, edge, text = asyncio.run(asked())
    assert summary.summary_0.to_dict() == installation.get("summary", ("location", "US"))["summary_0"]
    span = (at - at % 900 for at in (int(moment.timestamp()) for moment in window))
    rows = installation.connections
    assert past.summary_0.to_dict() == reference.summary(rows, lambda row: row.asn in (64496, 64505), *span)
    assert series.meta.agg_interval == "ONE_DAY"
    assert edge.summary_0.to_dict() == installation.get("summary", ("sensor", "edge"))["summary_0"]
    assert text.startswith("Summary_0 post_syn,Summary_0 post_ack,")
