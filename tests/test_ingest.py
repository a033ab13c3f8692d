"""Rows of the store from judged connections, beside the same one by one."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_network
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import halfopen.ingest
from halfopen.arrow import record_batch
from halfopen.ingest import incoming
from halfopen.pipeline import Judged
from halfopen.privacy import Address, Name, Privacy
from halfopen.store.schema import EVIDENCE, INCOMING
from tests.cli.rows import judged

KEY = bytes(range(32))
WEIGHT = 2.5
SHIFT = 1_000_000_007


def client(privacy: Privacy, row: dict[str, Any], numbers: Any) -> str | None:
    match privacy.address:
        case Address.none:
            return None
        case Address.hash:
            return privacy.hashed_addresses(numbers["client_hi"], numbers["client_lo"])[0]
        case Address.truncated:
            prefix = 48 if ":" in row["client"] else 24
            return str(ip_network((row["client"], prefix), strict=False).network_address)
        case Address.full:
            return str(row["client"])


def packets(batch: Judged, row: Any) -> bytes:
    begin = int(row["packets_offset"])
    return batch.packets[begin : begin + int(row["packets"])].tobytes()


def expected(batch: Judged, privacy: Privacy) -> Iterable[dict[str, Any]]:
    flat = record_batch(batch).to_pylist()
    for at, row in enumerate(flat):
        numbers = batch.rows[at : at + 1]
        yield {
            **{name: row[name] for name in INCOMING.names if name in row},
            **{column.name: row["evidence"][column.name] for column in EVIDENCE},
            **{name: int(numbers[name][0]) for name in ("stage", "signature", "tags")},
            "start_ns": int(numbers["start"][0]) + SHIFT,
            "end_ns": int(numbers["end"][0]) + SHIFT,
            "client": client(privacy, row, numbers),
            "ip_version": 6 if ":" in row["client"] else 4,
            "weight": WEIGHT,
            "trigger_kind": row["trigger"]["kind"],
            "trigger": privacy.names([row["trigger"]["name"]])[0],
            "first_packets": packets(batch, numbers[0]),
        }


@given(
    st.lists(judged(), max_size=4),
    st.sampled_from(Address),
    st.sampled_from(Name),
    st.sampled_from([1, 5, 1 << 15]),
)
def test_rows_in_bulk_are_the_rows_one_by_one(
    batches: list[Judged], address: Address, name: Name, most: int
) -> None:
    privacy = Privacy(address, name, KEY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(halfopen.ingest, "_MOST", most)
        made = list(incoming(iter(batches), privacy, weight=WEIGHT, shift=SHIFT))
    for each in made:
        each.validate(full=True)
        assert each.schema == made[0].schema  # they go into one file
    rows = pa.Table.from_batches(made).cast(INCOMING).to_pylist() if made else []
    assert rows == [row for batch in batches for row in expected(batch, privacy)]
