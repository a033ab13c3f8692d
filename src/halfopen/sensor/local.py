"""The dataset on this machine takes batches, or one in an object store that this machine writes to."""

from __future__ import annotations

import logging
from concurrent.futures import TimeoutError as Late
from pathlib import Path
from typing import Final

from halfopen.errors import LeaseError, StoreError
from halfopen.sensor.batch_file import rows_of
from halfopen.sensor.receiver import Fate, Outcome
from halfopen.sensor.spool import Spooled
from halfopen.store.committer import Batch
from halfopen.store.intake import Intake
from halfopen.store.store import Store

_PATIENCE: Final = 90.0  # s for a commit
_TURN: Final = 5.0  # s for the turn of another process

_log: Final = logging.getLogger("halfopen.sensor")


class Local:
    """The dataset on this machine, or in an object store that this machine writes to."""

    def __init__(self, where: str | Path, sensor: str, patience: float = _PATIENCE) -> None:
        """Open the store, or make it; StoreError where that cannot be."""
        self._store = Store(where, create=True)
        self._sensor, self._patience = sensor, patience
        self.name = self._store.place.uri
        self._intake = Intake(self._store.committer(patience=_TURN), _behind)

    def deliver(self, batch: Spooled) -> Outcome:
        """As `Receiver.deliver`."""
        try:
            receipt = self._intake.put(
                Batch(
                    self._sensor, batch.incarnation, batch.sequence, batch.watermark, rows_of(batch.stream),
                    batch.since, batch.until, batch.rate, batch.drops, batch.counters,
                )
            ).result(self._patience)  # fmt: skip
        except Late:
            return Outcome(Fate.AWAY, f"{self.name}: commits take longer than {self._patience:g} s")
        except LeaseError as error:
            return Outcome(Fate.AWAY, str(error))
        except Exception as error:  # of whatever library: the batch stays in the spool
            return Outcome(
                Fate.AWAY, str(error) if isinstance(error, StoreError) else f"{self.name}: {error!r}"
            )
        if receipt.held:
            return Outcome(Fate.HELD, expected=receipt.expected)
        return Outcome(Fate.EXPECTED, f"sequence {receipt.expected} is expected", receipt.expected)

    def close(self) -> None:
        """Commit what waits, and close the store."""
        self._intake.close()
        self._store.close()


def _behind(error: Exception) -> None:
    _log.error("the rollups are behind the connections, and follow with the next batch: %s", error)
