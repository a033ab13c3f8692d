"""Batches of sensors over HTTP: exactly once, only by their token, and nothing that no connection has."""

from __future__ import annotations

import os
import re
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import httpx
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halfopen.connections.rules import SIGNATURES
from halfopen.errors import RequestError
from halfopen.model import Stage
from halfopen.server.stream import rows_of
from halfopen.store.schema import INCOMING
from tests.remote.conftest import Serving
from tests.store.rows import Row, table
from tests.store.rows import row as plain

NOW = int(time.time())
RECENT = NOW - 7200


COUNTS = ("resets", "reset_acks", "reset_echoes", "data_after_reset", "duplicates")


def row(start: int = RECENT, **columns: Any) -> Row:
    return plain(start, **(dict.fromkeys(COUNTS, 0) | columns))


def stream(rows: Any, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write(rows)
    return bytes(sink.getvalue())


def body(rows: Iterable[Row] = ()) -> bytes:
    return stream(table(rows))


def post(
    server: Serving,
    content: bytes,
    sequence: int = 1,
    token: str = "web-1",
    name: str = "web-1",
    **query: Any,
) -> httpx.Response:
    asked = {"incarnation": str(uuid.UUID(int=7)), "sequence": sequence, "watermark": NOW} | query
    given = {key: value for key, value in asked.items() if value is not None}
    return server.ask("POST", f"/sensors/{name}/batches", token, params=given, content=content)


def counted(server: Serving, sensor: str) -> float:
    path = "/radar/tcp_resets_timeouts/summary"
    query = {"normalization": "RAW_VALUES", "sensor": sensor, "dateRange": "1d"}
    found = server.ask("GET", path, "radar", params=query).json()["result"]["summary_0"]
    return sum(map(float, found.values()))


def test_each_batch_is_taken_once_and_in_order(served: Serving) -> None:
    rows = [row(RECENT - 7200, client_port=port, weight=2.0) for port in range(5)]
    first = post(served, body(rows), rate=0.5)
    assert first.status_code == 200, first.text
    assert first.json()["result"] == {"held": True, "taken": True, "expected": 2}
    again = post(served, body(rows), rate=0.5)
    assert again.json()["result"] == {"held": True, "taken": False, "expected": 2}
    beyond = post(served, body(rows), 4, rate=0.5)
    assert beyond.status_code == 409
    assert beyond.headers["halfopen-expected-sequence"] == "2"
    assert "expected is 2" in beyond.json()["errors"][0]["message"]
    assert post(served, body(), 2).json()["result"] == {"held": True, "taken": True, "expected": 3}
    other = post(served, body(rows[:1]), rate=0.5, incarnation=str(uuid.UUID(int=8)))
    assert other.json()["result"]["taken"] is True
    shown = served.ask(
        "GET", "/radar/tcp_resets_timeouts/connections", "connections", params={"sensor": "web-1"}
    )
    assert shown.json()["result_info"]["total_count"] == 6
    end = time.monotonic() + 10
    while counted(served, "web-1") != 12.0:
        assert time.monotonic() < end
        time.sleep(0.1)


def test_only_the_sensors_own_token_delivers(served: Serving) -> None:
    for token, name in (("web-2", "web-1"), ("admin", "web-1"), ("radar", "web-1"), ("web-1", "web-2")):
        answer = post(served, b"", token=token, name=name, sequence=0)
        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (403, 10000)


def test_names_that_no_sensor_has_are_no_path(served: Serving) -> None:
    for name in ("other", "-dash", "a,b", "x" * 64):
        assert post(served, body(), name=name).status_code == 404
    assert post(served, body(), name="others").status_code == 403


def test_its_token_opens_nothing_else_but_what_every_token_does(served: Serving) -> None:
    (account,) = served.ask("GET", "/accounts", "web-1").json()["result"]
    document = httpx.get(f"{served.url}/openapi.json").json()
    opened = set()
    for path, methods in document["paths"].items():
        asked = path.replace("{account_id}", account["id"]).replace("{asn}", "64496")
        asked = re.sub("{.*?}", str(uuid.UUID(int=7)), asked)
        for method in {"get", "post", "put", "patch", "delete"} & methods.keys():
            status = served.ask(method.upper(), asked, "web-1").status_code
            if status not in (403, 404, 501):  # 501: not offered to anybody
                opened.add(path)
    assert opened == {"/user/tokens/verify", "/accounts", "/accounts/{account_id}"}


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"incarnation": None}, "incarnation: missing"),
        ({"incarnation": "7"}, 'incarnation: "7" is not a UUID'),
        ({"sequence": 0}, "sequence:"),
        ({"sequence": None}, "sequence: missing"),
        ({"watermark": None}, "watermark: missing"),
        ({"watermark": NOW + 90000}, "watermark:"),
        ({"since": NOW + 1}, "since:"),
        ({"since": NOW + 90000, "until": NOW}, "since:"),
        ({"since": NOW, "until": NOW + 1}, "until:"),
        ({"until": NOW}, "until:"),
        ({"rate": "0.0"}, "rate:"),
        ({"rate": "2"}, "rate:"),
        ({"rate": "nan"}, "rate:"),
        ({"drops": -1}, "drops:"),
    ],
)
def test_parameters_are_checked(served: Serving, query: dict[str, Any], words: str) -> None:
    answer = post(served, body(), **({"sequence": 90} | query))
    assert answer.status_code == 400
    assert [each["message"].startswith(words) for each in answer.json()["errors"]] == [True]


def of_other_type() -> Any:
    return table([row()]).set_column(0, "start_ns", pa.array([1], pa.int32()))


def with_a_dictionary() -> Any:
    rows = table([row()])
    index = rows.schema.get_field_index("server")
    return rows.set_column(index, "server", rows["server"].dictionary_encode())


def with_an_extension() -> Any:
    rows = table([row()])
    field = pa.field("start_ns", pa.int64(), metadata={"ARROW:extension:name": "arrow.opaque"})
    return pa.Table.from_arrays(rows.columns, schema=rows.schema.set(0, field))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no Arrow IPC stream"),
        (b"\xff" * 100, "no Arrow IPC stream"),
        (body([row()])[:-400], "no Arrow IPC stream"),
        (stream(table([row()]).drop_columns(["asn", "location"])), "columns, accepted are"),
        (stream(table([row()]).drop_columns(["asn"])), "column 'location', expected there is 'asn'"),
        (stream(table([row()]).rename_columns(["x", *INCOMING.names[1:]])), "column 'x', expected there is 'start_ns'"),
        (stream(of_other_type()), "column start_ns: int32, accepted is int64"),
        (stream(with_a_dictionary()), "dictionary"),
        (stream(table([row()] * 100), compression="zstd"), "compressed buffers"),
        (stream(table([row()] * 100), compression="lz4"), "compressed buffers"),
        (body([row(stage=6)]), "column stage"),
        (body([row(stage=None)]), "column stage: null"),
        (body([row(signature=99)]), "column signature"),
        (body([row(tags=1 << 60)]), "column tags"),
        (body([row(ip_version=5)]), "column ip_version"),
        (body([row(weight=float("nan"))]), "column weight"),
        (body([row(weight=0.5)]), "column weight"),
        (body([row(start_ns=(NOW + 90000) * 10**9)]), "column start_ns"),
        (body([row(start_ns=-1)]), "column start_ns"),
        (body([row(weight=2.0), row()]), "column weight: a value that is not 1 / rate"),
        (body([row(end_ns=(RECENT - 1) * 10**9)]), "column end_ns: a value that is not from start_ns"),
        (body([row(), row(stage=2)]), "column signature: a value that is not 0 for none, or a signature of the row's stage"),
        (body([row(stage=0)]), "column signature"),
        (body([row(signature=-1)]), "column signature"),
        (body([row(location="DEU")]), "column location"),
        (body([row(location="XX")]), "column location"),
        (body([row(location="")]), "column location"),
        (body([row(continent="XX"), row(continent=None)]), "column continent"),
        (body([row(client="<b>")]), "column client"),
        (body([row(trigger="x" * 2000)]), "column trigger"),
        (body([row(left_out="other")]), "column left_out"),
        (body([row(first_packets=b"x" * 23)]), "column first_packets: a value that is not 24 bytes for each of at most 10"),
        (body([row(first_packets=b"x" * 24 * 11)]), "column first_packets"),
    ],
)  # fmt: skip
def test_rows_are_checked(served: Serving, content: bytes, words: str) -> None:
    answer = post(served, content, 90)
    assert answer.status_code == 400, answer.text
    assert words in answer.json()["errors"][0]["message"]


def test_a_weight_is_one_over_the_rate_of_its_batch(served: Serving) -> None:
    for weight, rate in ((3.0, "0.5"), (1.0, "0.5"), (2.0001, "0.5"), (3.0, "0.333")):
        answer = post(served, body([row(weight=weight)]), 90, rate=rate)
        assert answer.status_code == 400, (weight, rate)
        assert "column weight: a value that is not 1 / rate" in answer.json()["errors"][0]["message"]
    for weight, sampled in ((2.0, 0.5), (3.0, 0.3333333), (1 / 0.07, 0.07), (10.0**9, 1e-9)):
        assert rows_of(body([row(weight=weight)]), NOW, sampled).num_rows == 1


def test_what_connections_have_is_taken() -> None:
    signed = [row(stage=each.stage, signature=each.number) for each in SIGNATURES]
    plain = [row(stage=stage, signature=0) for stage in Stage]
    placed = [row(location=place, continent=continent) for place, continent in (("XK", "EU"), (None, None))]
    rows = [*signed, *plain, *placed, row(end_ns=RECENT * 10**9)]
    assert rows_of(body(rows), NOW, 1.0).num_rows == len(rows)


def test_sensors_of_before_send_no_first_packets() -> None:
    sent = table([row(first_packets=b"x" * 48), row()])
    assert rows_of(stream(sent), NOW, 1.0) == sent
    taken = rows_of(stream(sent.drop_columns(["first_packets"])), NOW, 1.0)
    assert taken.schema == INCOMING
    assert taken["first_packets"].to_pylist() == [None, None]


def test_extension_types_are_only_bytes(served: Serving) -> None:
    assert post(served, stream(with_an_extension()), 90).status_code in (400, 409)


def test_sizes_are_bounded(served: Serving) -> None:
    assert post(served, bytes((64 << 20) + 1), 90).status_code == 413
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, INCOMING) as writer:
        for _ in range(10_001):
            writer.write_batch(pa.RecordBatch.from_pylist([], INCOMING))
    assert post(served, bytes(sink.getvalue()), 90).status_code == 413
    most = pa.concat_tables([table([row(server="a")] * 1000)] * 300)
    assert rows_of(stream(most), NOW, 1.0).num_rows == 300_000


SOUND = body([row(RECENT, client_port=port, trigger="a.example", trigger_kind="sni") for port in range(3)])


@settings(max_examples=int(os.environ.get("HALFOPEN_EXAMPLES", "200")), deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(SOUND) - 1), st.integers(0, 255)), max_size=4),
    st.integers(0, len(SOUND)),
)
def test_damaged_streams_are_read_or_refused(changes: list[tuple[int, int]], end: int) -> None:
    damaged = bytearray(SOUND)
    for at, value in changes:
        damaged[at] = value
    for content in (bytes(damaged), bytes(damaged[:end])):
        with suppress(RequestError):
            rows = rows_of(content, NOW, 1.0)
            assert rows.schema == INCOMING
            rows.validate(full=True)
