"""From judged connections to the rows that leave the host: what may be kept of a client is decided here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from halfopen.ingest import incoming
from halfopen.pipeline import Judged
from halfopen.privacy import Privacy
from halfopen.store.schema import INCOMING


def outgoing(judged: Iterable[Judged], privacy: Privacy, rate: float = 1.0) -> Any:
    """A table of `schema.INCOMING` with plain columns, of decided connections that are one in 1 / `rate`.

    Places are looked up already; of addresses and names is left what `privacy` lets through.
    """
    batches = incoming(iter(judged), privacy, weight=1 / rate)
    tables = [pa.Table.from_batches([batch]).cast(INCOMING) for batch in batches]
    return pa.concat_tables([INCOMING.empty_table(), *tables]).combine_chunks()
