"""From judged connections to rows of the store: what is kept, what each stands for, and when it was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from halfopen.arrow import addresses, record_batch
from halfopen.capture.source import Capture
from halfopen.model import MAPPED_PREFIX
from halfopen.pipeline import Judged
from halfopen.privacy import Address, Privacy
from halfopen.store.schema import INCOMING

_PIECE: Final = 1 << 20
_BYTES: Final = 16
"""Of a digest."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a capture is known by: its content alone.

    `digest` is 128 bits of the BLAKE2b hash of the file, as hexadecimal. Of a joined capture it is the hash of the
    digests of its files in their order, and those are the `members`.
    """

    digest: str
    members: tuple[str, ...] = ()


def known(capture: Capture) -> Known:
    """What a capture is known by; OSError names the file that cannot be read."""
    digests = tuple(_digest(Path(file)) for file in capture.files)
    if len(digests) == 1:
        return Known(digests[0])
    return Known(blake2b("".join(digests).encode(), digest_size=_BYTES).hexdigest(), digests)


def _digest(path: Path) -> str:
    content = blake2b(digest_size=_BYTES)
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            content.update(piece)
    return content.hexdigest()


def incoming(
    batches: Iterator[Judged], privacy: Privacy, *, file: str | None, weight: float = 1.0, shift: int = 0
) -> Iterator[Any]:
    """Record batches of `store.schema.INCOMING` from decided connections, all moved by `shift` ns."""
    for judged in batches:
        yield _rows(judged, privacy, file, weight, shift)


def _rows(judged: Judged, privacy: Privacy, file: str | None, weight: float, shift: int) -> Any:
    rows = judged.rows
    count = len(rows)
    batch = record_batch(judged)
    evidence, trigger = (batch.column(name) for name in ("evidence", "trigger"))
    high, low = rows["client_hi"], rows["client_lo"]
    mapped = (high == 0) & (low >> np.uint64(32) == MAPPED_PREFIX >> 32)
    columns = {
        "file": pa.repeat(pa.scalar(file, pa.string()), count),
        "start_ns": pa.array(rows["start"] + shift),
        "end_ns": pa.array(rows["end"] + shift),
        "client": _clients(high, low, privacy),
        "ip_version": pa.array(np.where(mapped, 4, 6)),
        "stage": pa.array(rows["stage"]),
        "signature": pa.array(rows["signature"]),
        "tags": pa.array(rows["tags"].astype(np.int64)),
        "weight": pa.repeat(weight, count),
        "trigger_kind": trigger.field("kind"),
        "trigger": pa.array(privacy.names(trigger.field("name").to_pylist()), pa.string()),
    }
    for name in INCOMING.names:
        if name not in columns:
            inside = evidence.type.get_field_index(name) >= 0
            columns[name] = evidence.field(name) if inside else batch.column(name)
    return pa.RecordBatch.from_arrays(
        [columns[field.name].cast(field.type) for field in INCOMING], schema=INCOMING
    )


def _clients(high: Any, low: Any, privacy: Privacy) -> Any:
    match privacy.address:
        case Address.none:
            return pa.nulls(len(low), pa.string())
        case Address.hash:
            return pa.array(privacy.hashed_addresses(high, low))
        case Address.truncated:
            return addresses(*privacy.truncated(high, low))
        case Address.full:
            return addresses(high, low)
