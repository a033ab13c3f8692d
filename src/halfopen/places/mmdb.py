"""One MMDB file: what it is, and what it says about many addresses at once.

The search tree is walked by our kernel; a record that was not met before is decoded by maxminddb.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import blake2b
from ipaddress import IPv4Address, IPv6Address
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from halfopen.errors import PlacesError
from halfopen.model import MAPPED_PREFIX, PLACE, Rows
from halfopen.places.memory import Memory
from halfopen.places.prefixes import Tree
from halfopen.places.records import Answer, read_record

_DAMAGE: Final = (OSError, ValueError, TypeError, RuntimeError)
"""What maxminddb raises for files it cannot read; InvalidDatabaseError is a RuntimeError."""

_SEPARATOR: Final = 16
"""Zero bytes between the search tree and the data."""

_SAMPLE: Final = 100
_SAMPLE_BLOCK: Final = 16
_MOST_RECORDS: Final = 1 << 17
_MOST_NAMES: Final = 1 << 17


@dataclass(frozen=True, slots=True)
class Source:
    """What a places file says about itself; `gives` is what its first records hold."""

    path: Path
    database_type: str
    built: date | None  # None where the file's build time is none
    gives: tuple[str, ...]  # of "asn", "location", "continent"
    ip_versions: tuple[int, ...]
    nodes: int

    def __str__(self) -> str:
        built = f"of {self.built}" if self.built else "without a date"
        return f"{self.path.name} ({self.database_type}, {built}: {', '.join(self.gives) or 'nothing known'})"


class Mmdb:
    """An open file, for any number of threads."""

    def __init__(self, path: Path) -> None:
        import maxminddb  # only where there is a file to read

        self.path = path
        self.names: dict[int, str] = {}
        self._memory = Memory(_MOST_RECORDS)
        try:
            self._reader = maxminddb.open_database(path)
            about = self._reader.metadata()
            self.tree = Tree(
                np.asarray(np.memmap(path, np.uint8, "r")),
                int(about.node_count),
                int(about.record_size),
                int(about.ip_version),
            )
        except _DAMAGE as error:
            reason = error.strerror if isinstance(error, OSError) else None
            raise PlacesError(str(path), reason or "not an MMDB file, or a damaged one") from error
        tree = self.tree
        if tree.record_size not in (24, 28, 32) or tree.ip_version not in (4, 6):
            raise PlacesError(
                str(path),
                f"records of {tree.record_size} bits for IP version {tree.ip_version};"
                " known are 24, 28 and 32 bits, versions 4 and 6",
            )
        self._data_begin = tree.nodes * tree.record_size // 4 + _SEPARATOR
        if tree.nodes < 0 or self._data_begin > tree.data.size:
            raise PlacesError(
                str(path), f"a search tree of {tree.nodes} nodes does not fit into {tree.data.size} bytes"
            )
        self.source = Source(
            path,
            str(about.database_type),
            _day(about.build_epoch),
            self._gives(),
            (4, 6) if tree.ip_version == 6 else (4,),
            tree.nodes,
        )

    def digest(self) -> str:
        """What the file is known by, as hexadecimal: 128 bits of the BLAKE2b hash of its content (100 MB: 0.12 s).

        Its build time would cost nothing, but says nothing of files that a tool writes with a fixed one.
        """
        return blake2b(self.tree.data.data, digest_size=16).hexdigest()

    def answers(self, hi: NDArray[np.uint64], lo: NDArray[np.uint64]) -> Rows:
        """What the file says about up to `MOST_KEYS` addresses (halves, IPv4-mapped): rows of `model.PLACE`.

        Raises PlacesError where the tree or a record is damaged.
        """
        from halfopen.places.tree import find_records  # compiled or loaded at the first look-up

        records = np.empty(len(hi), np.int64)
        tree = self.tree
        if not find_records(tree.data, tree.nodes, tree.record_size, tree.ip_version, hi, lo, records):
            raise PlacesError(str(self.path), "its search tree leads nowhere")
        try:
            numbers, fresh = self._memory.number(np.zeros(len(records), np.uint64), records.view(np.uint64))
            if len(fresh):
                rows = [self._decode(int(records[at]), int(hi[at]), int(lo[at])) for at in fresh.tolist()]
                self._memory.learn(np.array(rows, PLACE))
        except BaseException:
            self._memory.forget()
            raise
        return self._memory.places(numbers)

    def answer(self, address: IPv4Address | IPv6Address) -> Answer:
        """What the file says about one address. Raises PlacesError where the tree or the record is damaged."""
        address = getattr(address, "ipv4_mapped", None) or address
        return self._read(address) if address.version in self.source.ip_versions else Answer()

    def _decode(self, record: int, hi: int, lo: int) -> tuple[int, bytes, bytes]:
        if record == 0:
            return 0, b"", b""
        if not _SEPARATOR <= record < self.tree.data.size - self._data_begin + _SEPARATOR:
            raise PlacesError(str(self.path), f"a record outside the file, for {_address(hi, lo)}")
        answer = self._read(_address(hi, lo))
        if answer.organisation and len(self.names) < _MOST_NAMES:
            self.names.setdefault(answer.asn, answer.organisation)
        return answer.asn, answer.location.encode(), answer.continent.encode()

    def _read(self, address: IPv4Address | IPv6Address) -> Answer:
        try:
            return read_record(self._reader.get(address))
        except _DAMAGE as error:
            raise PlacesError(str(self.path), f"the record of {address}: {error}") from error

    def _gives(self) -> tuple[str, ...]:
        answers = list(islice(self._first_answers(), _SAMPLE))
        return tuple(
            field for field in ("asn", "location", "continent") if any(getattr(a, field) for a in answers)
        )

    def _first_answers(self) -> Iterator[Answer]:
        for found in self.tree.prefixes(_SAMPLE_BLOCK):
            for hi, lo in zip(found.hi.tolist(), found.lo.tolist(), strict=True):
                yield self._read(_address(hi, lo))


def _address(hi: int, lo: int) -> IPv4Address | IPv6Address:
    if hi == 0 and lo & ~0xFFFF_FFFF == MAPPED_PREFIX:
        return IPv4Address(lo & 0xFFFF_FFFF)
    return IPv6Address(hi << 64 | lo)


def _day(epoch: int) -> date | None:
    """The day of a build epoch (s, UTC); None for what is no time."""
    try:
        return datetime.fromtimestamp(epoch, UTC).date()
    except (ValueError, OverflowError, OSError):
        return None
