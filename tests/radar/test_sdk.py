"""The official SDK writes the queries and reads the answers, strictly."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl

import httpx
import pytest
from cloudflare import BadRequestError, Cloudflare
from cloudflare.types.radar.http.top_browser_family_response import Meta
from cloudflare.types.radar.netflows import TopAsesResponse, TopLocationsResponse
from pydantic import TypeAdapter

from halfopen.errors import InvalidError
from halfopen.radar.annotations import Annotation
from tests.radar.memory import NOW, STAGES, Memory, ask, at, crowd

DATASET = Memory(crowd(2000, at("2026-08-01T00:00:00Z"), at("2026-08-15T09:00:00Z")))
TOLD = [Annotation("Deployed", at("2026-08-10T00:00:00Z"), tags=("ours",))]
BASE = "/client/v4/radar/tcp_resets_timeouts/"


def respond(request: httpx.Request) -> httpx.Response:
    """The least of a server: the envelope of section 0 around the core."""
    path = request.url.path.removeprefix(BASE)
    pairs = parse_qsl(request.url.query.decode(), keep_blank_values=True)
    try:
        answer = ask(path, *pairs, of=DATASET, told=TOLD)
    except InvalidError as error:
        errors = [{"code": 2001, "message": str(fault)} for fault in error.rejected]
        return httpx.Response(400, json={"success": False, "errors": errors, "messages": [], "result": {}})
    if answer.csv is not None:
        return httpx.Response(200, text=answer.csv, headers={"content-type": "text/csv; charset=utf-8"})
    return httpx.Response(200, json={"success": True, "errors": [], "messages": [], "result": answer.result})


@pytest.fixture(scope="module")
def client() -> Iterator[Cloudflare]:
    with (
        httpx.Client(transport=httpx.MockTransport(respond)) as transport,
        Cloudflare(
            api_token="token",
            base_url="http://radar.example/client/v4",
            http_client=transport,
            _strict_response_validation=True,
        ) as made,
    ):
        yield made


def test_summary_without_parameters(client: Cloudflare) -> None:
    answer = client.radar.tcp_resets_timeouts.summary()
    assert answer is not None
    assert sum(float(getattr(answer.summary_0, stage)) for stage in STAGES) == pytest.approx(100)
    assert answer.meta.date_range[0].end_time == datetime(2026, 8, 15, 9, tzinfo=UTC)
    assert answer.meta.confidence_info.annotations[0].description == "Deployed"
    assert answer.meta.confidence_info.annotations[0].end_date == datetime(2026, 8, 15, 8, 15, tzinfo=UTC)


def test_every_parameter(client: Cloudflare) -> None:
    answer = client.radar.tcp_resets_timeouts.timeseries_groups(
        agg_interval="1d",
        asn=["-174, 64500", "64501"],
        continent=["EU", "NA"],
        date_range=["14d", "14dControl"],
        format="JSON",
        location=["PT", "-PT,US"],
    )
    assert answer is not None
    assert answer.meta.agg_interval == "ONE_DAY"
    assert len(answer.serie_0.timestamps) == len(answer.serie_0.post_syn) == 15
    assert answer.model_extra is not None
    assert len(answer.model_extra["serie_1"]["timestamps"]) == 15


def test_times_as_the_sdk_writes_them(client: Cloudflare) -> None:
    start = datetime(2026, 8, 2, 10, 7, 3, 123456, tzinfo=UTC)
    for first, last in (
        (start, start + timedelta(days=1)),
        (start.replace(tzinfo=None), "2026-08-03T12:07:03+02:00"),
    ):
        answer = client.radar.tcp_resets_timeouts.summary(date_start=[first], date_end=[last])
        assert answer is not None
        assert answer.meta.date_range[0].start_time == datetime(2026, 8, 2, 10, tzinfo=UTC)
        assert answer.meta.date_range[0].end_time == datetime(2026, 8, 3, 10, tzinfo=UTC)


def test_nothing_counted_is_read_as_well(client: Cloudflare) -> None:
    summary = client.radar.tcp_resets_timeouts.summary(location=["JP"])
    series = client.radar.tcp_resets_timeouts.timeseries_groups(location=["JP"])
    assert summary is not None
    assert series is not None
    assert {getattr(summary.summary_0, stage) for stage in STAGES} == {"0"}
    assert series.serie_0.timestamps == []


def test_a_named_series_has_its_name(client: Cloudflare) -> None:
    raw = client.radar.tcp_resets_timeouts.with_raw_response.summary(name=["main_series"])
    assert list(raw.http_response.json()["result"]) == ["main_series", "meta"]


def test_csv(client: Cloudflare) -> None:
    raw = client.radar.tcp_resets_timeouts.with_raw_response.summary(format="CSV")
    assert raw.http_response.text.startswith("Summary_0 post_syn,Summary_0 post_ack,")


def test_faults_are_a_bad_request(client: Cloudflare) -> None:
    with pytest.raises(BadRequestError) as raised:
        client.radar.tcp_resets_timeouts.summary(location=["string"], asn=["0"])
    assert [error.message for error in raised.value.errors] == [
        'asn: "0" is not an AS number from 1 to 4294967295',
        'location: "string" is not an ISO 3166-1 alpha-2 code',
    ]


@pytest.mark.parametrize(
    ("path", "model"), [("top/ases", TopAsesResponse), ("top/locations", TopLocationsResponse)]
)
def test_top_lists_have_the_shape_of_other_datasets(path: str, model: type) -> None:
    assert TypeAdapter(model).validate_python(ask(path, of=DATASET, now=NOW).result).top_0


def test_meta_of_other_dimensions_has_the_shape_of_other_datasets() -> None:
    for path in ("summary/tag", "summary/asn", "timeseries_groups/tag"):
        result = ask(path, of=DATASET).result
        assert result is not None
        assert Meta.model_validate(result["meta"], strict=False).units[0].value == "connections"
