"""The columns of the two tables: the one definition behind their Arrow schemas and their page of the docs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

FORMAT: Final = 1
"""Version of what is defined here; a store with a newer one is refused."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, its Arrow type and what it says."""

    name: str
    type: Any
    words: str
    repeats: bool = True  # whether values come back often enough for a dictionary in each file


@dataclass(frozen=True, slots=True)
class Layout:
    """One table: its name, its columns, and by which of them its files are parted.

    Where there is a column `apart`, files are sorted for questions that want few of their rows: each row group has one
    value of it.
    """

    name: str
    words: str
    columns: tuple[Column, ...]
    partitions: tuple[str, ...]
    apart: str | None = None

    @property
    def whole(self) -> Any:
        """The Arrow schema of the table as other engines see it."""
        return pa.schema([(column.name, column.type) for column in self.columns])

    @property
    def written(self) -> Any:
        """The Arrow schema of its files: Delta keeps the partition columns out of them."""
        return pa.schema([(c.name, c.type) for c in self.columns if c.name not in self.partitions])

    @property
    def repeating(self) -> list[str]:
        """The columns whose values come back often enough for a dictionary in each file."""
        return [c.name for c in self.columns if c.repeats and c.name not in self.partitions]


# Delta knows no unsigned numbers: each type is the signed one that holds all values.
EVIDENCE: Final = (
    Column(
        "ttl_delta", pa.int32(), "largest change of TTL or hop limit, null where there is nothing to compare"
    ),
    Column("ip_id_delta", pa.int32(), "largest change of the IP-ID, null where there is nothing to compare"),
    Column(
        "seq_relation", pa.string(), "where the first reset's sequence number stands; null without a reset"
    ),
    Column("seq_delta", pa.int32(), "that number minus the next expected, null without a reset"),
    Column("resets", pa.int16(), "RST without ACK"),
    Column("reset_acks", pa.int16(), "RST with ACK"),
    Column("reset_echoes", pa.int16(), "resets that repeat the one before"),
    Column(
        "gap",
        pa.float64(),
        "seconds before the reset, or of silence at the end; null where there is none",
        repeats=False,
    ),
    Column("data_after_reset", pa.int16(), "packets with data after the first reset"),
    Column("duplicates", pa.int64(), "packets captured twice"),
    Column("left_out", pa.string(), "why there is no stage; null where there is one"),
)

FIRST_PACKETS: Final = Column(
    "first_packets",
    pa.binary(),
    "what was seen of the inbound packets kept, in order of arrival, 24 bytes each; null where it was not kept",
    repeats=False,
)
PACKET_WORDS: Final = {
    "time": "since the first SYN, ns",
    "seq": "sequence number minus that of the first SYN, modulo 2^32",
    "ack": "acknowledgement, counted likewise so that the connection's first is 1; -2^31 without one",
    "length": "bytes of payload; 65,535 for that many and more",
    "window": "as in the header; in the first packet 0 if that has no payload: of such a SYN it is not kept",
    "ip_id": "IP-ID; 0 for IPv6",
    "flags": "a bit for each flag, as in the header",
    "ttl": "TTL or hop limit",
}
"""What the fields of `model.FIRST_PACKET` say."""

CONNECTIONS: Final = Layout(
    "connections",
    "The truth: one row for each sampled connection.",
    (
        Column("day", pa.date32(), "UTC day of the first SYN; partition"),
        Column("sensor", pa.string(), "name of the sensor, or the one given to a capture file"),
        Column("incarnation", pa.string(), "UUID of the sensor's spool, or the capture's digest"),
        Column("sequence", pa.int64(), "number of the batch within the incarnation, from 1"),
        Column("file", pa.string(), "digest of the capture; null for a live sensor"),
        Column("start_ns", pa.int64(), "first SYN, ns since the epoch", repeats=False),
        Column("end_ns", pa.int64(), "last inbound packet, ns since the epoch", repeats=False),
        Column("bucket", pa.int64(), "begin of the first SYN's quarter of an hour, s since the epoch"),
        Column("client", pa.string(), "the client's address as far as it is kept; null if not"),
        Column("client_port", pa.int32(), "the client's port", repeats=False),
        Column("server", pa.string(), "the server's address"),
        Column("server_port", pa.int32(), "the server's port"),
        Column("ip_version", pa.int8(), "4 or 6"),
        Column("packets", pa.int16(), "inbound packets kept, at most ten"),
        Column("stage", pa.int8(), "number of the stage; 5 for undecided"),
        Column("signature", pa.int8(), "number of the signature, 0 for none"),
        Column("rules_version", pa.int32(), "version of the rules that judged it"),
        Column("tags", pa.int64(), "a bit for each tag"),
        Column("weight", pa.float64(), "how many connections it stands for: 1 / sampling rate"),
        *EVIDENCE,
        Column("trigger_kind", pa.string(), "which name was visible: sni or host; null for none"),
        Column("trigger", pa.string(), "that name as far as it is kept"),
        Column("asn", pa.int64(), "the client's network; null where unknown"),
        Column("location", pa.string(), "the client's country, ISO 3166-1 alpha-2; null where unknown"),
        Column("continent", pa.string(), "the client's continent, two letters; null where unknown"),
        Column("ingested", pa.int64(), "when it was committed, s since the epoch"),
        FIRST_PACKETS,
    ),
    ("day",),
)

ADDED: Final = (FIRST_PACKETS.name,)
"""Columns that came to a table of this format later: tables, files and batches made before are without them."""

ROLLUPS: Final = Layout(
    "rollups",
    "What the connections add up to. Rows with equal keys add; a row is negative where a capture was replaced or removed.",
    (
        Column("grain", pa.string(), "15m or 1d; with -less: the same in kinds that keep less; partition"),
        Column(
            "day", pa.date32(), "Monday of the bucket's week (15m), first day of its month (1d); partition"
        ),
        Column("kind", pa.string(), "which columns are kept, the others are 0 or empty; whole where all are"),
        Column("bucket", pa.int64(), "begin of the quarter of an hour or of the UTC day, s since the epoch"),
        Column("sensor", pa.string(), "as in connections"),
        Column("asn", pa.int64(), "the client's network; 0 where unknown"),
        Column("location", pa.string(), "the client's country; empty where unknown"),
        Column("continent", pa.string(), "the client's continent; empty where unknown"),
        Column("stage", pa.int8(), "as in connections"),
        Column("signature", pa.int8(), "as in connections"),
        Column("tags", pa.int64(), "as in connections"),
        Column("ip_version", pa.int8(), "as in connections"),
        Column("server_port", pa.int32(), "as in connections"),
        Column(
            "ingested",
            pa.int64(),
            "UTC day of the ingestion of a file, s since the epoch; 0 for a live sensor",
        ),
        Column("connections", pa.int64(), "rows of connections"),
        Column("weight", pa.float64(), "the sum of their weights"),
        Column("squares", pa.float64(), "the sum of their squared weights"),
    ),
    ("grain", "day"),
    apart="kind",
)

WHOLE: Final = "whole"
"""The kind with all columns."""

LESS: Final = "-less"
"""Ends the names of the grains that hold the other kinds."""

_PLACE: Final = ("location", "continent")
_DETAILS: Final = ("sensor", "stage", "signature", "tags", "ip_version", "server_port")
KINDS: Final = {
    "world-stages": ("stage",),
    "country-stages": (*_PLACE, "stage"),
    "world": _DETAILS,
    "country": (*_PLACE, *_DETAILS),
}
"""What each of them keeps beside `bucket` and `ingested`, those of few rows first: the questions asked most are
about stages and places, and a network has little to add up."""

KEYS: Final = tuple(
    c.name for c in ROLLUPS.columns if c.name not in ("grain", "day", "connections", "weight", "squares")
)
"""The columns that tell rollup rows of one grain apart."""

GIVEN_BY_COMMITTER: Final = ("day", "sensor", "incarnation", "sequence", "file", "bucket", "ingested")
"""The columns of connections that the committer fills in."""

INCOMING: Final = pa.schema(
    [(c.name, c.type) for c in CONNECTIONS.columns if c.name not in GIVEN_BY_COMMITTER]
)
"""The rows that a batch brings."""


def completed(rows: Any, schema: Any) -> Any:
    """A table with the columns of a schema, of rows which may be without those that were `ADDED`: they hold null."""
    for name in ADDED:
        if name in schema.names and name not in rows.schema.names:
            rows = rows.append_column(name, pa.nulls(len(rows), schema.field(name).type))
    return rows.select(schema.names)
