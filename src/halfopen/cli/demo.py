"""The demo of `halfopen up`: two weeks of connections, made of the shipped capture, a sensor that goes on with them, and a tunnel.

As a program, ``python -m halfopen.cli.demo STORE``, it is that sensor.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar, Final
from uuid import uuid4

from halfopen.errors import UsageError

if TYPE_CHECKING:
    import numpy as np

SOURCES: Final = Path(__file__).parents[3] / "captures"
"""Where a source tree has its captures."""

CAPTURE: Final = SOURCES / "demo.pcap.gz"
PLACES: Final = SOURCES / "places"

MARK: Final = ".halfopen-demo"
"""Name of an empty file: a directory with it may be made anew."""

DAYS: Final = 15
"""So that a week has another one before it."""

SENSORS: Final = {"ams-1": ("EU", "AF"), "nyc-1": ("NA", "SA")}
"""The made-up sensors of the past, each with the continents of which it sees most."""

LIVE: Final = "fra-1"
"""The made-up sensor that goes on."""

EVERY: Final = 10.0
"""Seconds between two batches of it."""

CALM, BUSY = 20, 70
"""Connections in a quarter of an hour, at night and in the evening."""

INCIDENT: Final = 64497
"""The network that is cut off more and more."""

SINCE: Final = 5 * 3600
"""Seconds ago from which on it is."""

QUARTER: Final = 900
DAY: Final = 86_400


@dataclass(frozen=True)
class Demo:
    """A data directory of the demo."""

    HOST: ClassVar = "demo.example"

    data: Path

    @classmethod
    @contextmanager
    def in_directory(cls, given: str | None) -> Iterator[Demo]:
        """That directory, emptied if an earlier demo made it, else one that is removed at the end.

        UsageError where there is no source tree, or something else is in the directory.
        """
        for each in (CAPTURE, PLACES):
            if not each.exists():
                raise UsageError(
                    "--demo", f"an installation without {each}", "a source tree, whose captures it shows"
                )
        with TemporaryDirectory(prefix="halfopen-demo-") as temporary:
            data = Path(given).absolute() if given else Path(temporary) / "data"
            if data.exists() and any(data.iterdir()):
                if not (data / MARK).exists():
                    raise UsageError(
                        "--data", data, "a directory that is empty, or that an earlier demo made"
                    )
                shutil.rmtree(data)
                data.with_name(f"{data.name}.key").unlink(missing_ok=True)
            data.mkdir(mode=0o700, parents=True, exist_ok=True)
            (data / MARK).touch()
            yield cls(data)

    @property
    def options(self) -> list[str]:
        """What keeps it to its own directory, whatever is set elsewhere."""
        return ["--store", str(self.data / "store")]

    @property
    def serving(self) -> list[str]:
        """What the server is told beside that."""
        return ["--places", str(PLACES)]

    def beside(self, store: str, connectors: str, visitors: str) -> dict[str, list[str]]:
        """What runs beside the server, in words, and the module of it with its arguments."""
        tunnel = ["halfopen.testing.sample_tunnel", str(self.data), self.HOST, connectors, visitors]
        return {"tunnel of the demo": tunnel, "sensor of the demo": ["halfopen.cli.demo", store]}

    def fill(self, store: str) -> None:
        """Put the connections of the capture into the dataset, many times over, and say so in annotations."""
        import numpy as np

        from halfopen.radar.annotations import Annotation
        from halfopen.radar.notes import Notes
        from halfopen.store.store import Store

        now = int(time.time()) // QUARTER * QUARTER
        pattern = _Pattern.of_capture()
        opened = Store(store, create=True)
        try:
            committer = opened.committer()
            for number, (sensor, continents) in enumerate(SENSORS.items()):
                digest = sha256(f"demo {sensor}".encode()).hexdigest()
                parts = pattern.days(np.random.default_rng(number), now, continents)
                committer.ingest(digest, sensor, "the demo", parts)
            committer.follow()
        finally:
            opened.close()
        notes = Notes(self.data)
        words = "The demo: connections of one capture from a test bed, many times over. Networks and times are made up."
        notes.add(Annotation(words, now - DAYS * DAY, now, event_type="GENERAL"))
        words = f"The demo: visitors from AS{INCIDENT} are cut off from here on."
        notes.add(Annotation(words, now - SINCE, now, event_type="TRAFFIC_ANOMALY", asns=(INCIDENT,)))


@dataclass(frozen=True)
class _Pattern:
    """Rows of `schema.INCOMING`, of which others are made, and what is needed to choose among them."""

    rows: Any
    asn: np.ndarray[Any, Any]
    continent: np.ndarray[Any, Any]
    cut: np.ndarray[Any, Any]

    @classmethod
    def of_capture(cls) -> _Pattern:
        """The connections of the shipped capture."""
        import numpy as np
        import pyarrow as pa

        from halfopen.capture.source import open_captures
        from halfopen.connections.limits import Limits
        from halfopen.ingest import incoming
        from halfopen.model import Stage
        from halfopen.pipeline import Judge, Judged
        from halfopen.places import Places
        from halfopen.privacy import Address, Name, Privacy

        judge = Judge(Limits(), Places.open([str(PLACES)]), 1, packets=True)
        judged = judge.run(open_captures([str(CAPTURE)]), lambda batches: map(Judged.kept, batches))
        rows = pa.Table.from_batches(
            incoming(judged, Privacy(Address.truncated, Name.full, b""))
        ).combine_chunks()
        asn = rows["asn"].fill_null(0).to_numpy()
        continent = np.array(rows["continent"].to_pylist(), dtype=object)
        return cls(rows, asn, continent, rows["stage"].to_numpy() != Stage.no_match)

    def days(self, chance: np.random.Generator, now: int, continents: tuple[str, ...]) -> Iterator[Any]:
        """Rows of the days up to `now` (s), a batch for each day, most of them from these continents."""
        import pyarrow as pa

        for day in range(now - DAYS * DAY, now, DAY):
            quarters = [
                self.between(chance, begin, begin + QUARTER, continents, begin >= now - SINCE)
                for begin in range(day, day + DAY, QUARTER)
            ]
            yield pa.concat_tables(quarters).combine_chunks().to_batches()[0]

    def between(
        self, chance: np.random.Generator, begin: int, end: int, continents: tuple[str, ...], incident: bool
    ) -> Any:
        """Rows of connections that began in [`begin`, `end`) (s), some more in the evening; the network is cut off during the `incident`."""
        import numpy as np

        weights = np.where(np.isin(self.continent, continents), 4.0, 1.0) * np.where(self.cut, 0.25, 1.0)
        if incident:
            weights = weights * np.where(self.asn != INCIDENT, 1.0, np.where(self.cut, 8.0, 0.1))
        evening = (1 - np.cos(2 * np.pi * (begin % DAY) / DAY)) / 2
        count = chance.poisson((CALM + (BUSY - CALM) * evening) * (end - begin) / QUARTER)
        chosen = chance.choice(len(weights), count, p=weights / weights.sum())
        return self._moved(chosen, chance.uniform(begin, end, count))

    def _moved(self, chosen: np.ndarray[Any, Any], starts: np.ndarray[Any, Any]) -> Any:
        """These rows, at those times (s)."""
        import pyarrow as pa

        from halfopen.model import SECOND

        rows = self.rows.take(pa.array(chosen))
        start = (starts * SECOND).astype("int64")
        length = rows["end_ns"].to_numpy() - rows["start_ns"].to_numpy()
        for name, values in (("start_ns", start), ("end_ns", start + length)):
            rows = rows.set_column(
                rows.schema.get_field_index(name), rows.schema.field(name), pa.array(values)
            )
        return rows


def watch(store: str) -> None:
    """Be a sensor that sees, again and again, what a real one might have seen since."""
    import numpy as np

    from halfopen.store.committer import Batch
    from halfopen.store.store import Store

    pattern, chance = _Pattern.of_capture(), np.random.default_rng()
    committer = Store(store).committer()
    incarnation, since = str(uuid4()), int(time.time())
    done, sequence, packets = since, 0, 0
    while True:
        now = int(time.time())
        rows = pattern.between(chance, done, now, ("EU",), incident=True) if now > done else pattern.rows[:0]
        done, sequence = now, sequence + 1
        packets += sum(rows["packets"].to_pylist())
        batch = Batch(LIVE, incarnation, sequence, done, rows, since, counters={"received": packets})
        committer.commit([batch])
        committer.follow()
        time.sleep(EVERY)


if __name__ == "__main__":
    watch(sys.argv[1])
