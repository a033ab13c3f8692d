"""Batches from the spool to whoever takes them, in order, one at a time, for as long as it takes."""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import Final

from halfopen.radar.windows import stamp
from halfopen.sensor.batch_file import Damaged
from halfopen.sensor.receiver import Fate, Outcome, Receiver
from halfopen.sensor.spool import Spool, Spooled

LAST: Final = 5.0
"""Seconds for which the end waits for what can still be delivered."""

_FIRST_WAIT: Final = 1.0
_LONGEST_WAIT: Final = 60.0
_IDLE: Final = 0.25  # s between two looks at whether to end

_WRONG: Final = 400  # the status of a batch with a value that cannot be used

_log: Final = logging.getLogger("halfopen.sensor")


class Delivery:
    """Delivers what a spool holds, in a thread of its own, until it is closed."""

    def __init__(
        self,
        spool: Spool,
        receiver: Receiver,
        *,
        first_wait: float = _FIRST_WAIT,
        longest_wait: float = _LONGEST_WAIT,
    ) -> None:
        """What is in vain is tried again after `first_wait` s, then after twice as long, up to `longest_wait` s."""
        self._spool, self._receiver = spool, receiver
        self._first_wait, self._longest_wait = first_wait, longest_wait
        self._tries = 0
        self._trouble = ""  # in words, empty where all is well
        self._kind: object = None  # what sort of trouble it is: told once
        self._since = 0.0  # s, when it began
        self._ending, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="delivery", daemon=True)
        self._thread.start()

    @property
    def status(self) -> str:
        """How delivery stands, in words for people."""
        trouble = self._trouble
        if trouble:
            return f"since {stamp(int(self._since))} {trouble}; {self._spool.waits:,} batches wait"
        return f"delivering to {self._receiver.name}"

    def close(self, last: float = LAST) -> bool:
        """Deliver what can be delivered in so many seconds, and end; the rest stays in the spool for the next time. The receiver
        is the caller's to close, if this is True: else it is still waited for."""
        self._ending.set()
        self._thread.join(last)
        self._over.set()
        if self._thread.is_alive():  # it waits for an answer, and ends with the process or once there is one
            _log.warning(
                "%s does not answer: %d batches stay in the spool", self._receiver.name, self._spool.waits
            )
        elif self._spool.waits:
            _log.warning("%d batches stay in the spool until the sensor runs again", self._spool.waits)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                batch = self._spool.first()
                if batch is None:
                    if self._ending.is_set():
                        return
                    self._spool.wait(_IDLE)
                    continue
                outcome = self._deliver(batch)
            except (OSError, Damaged) as error:
                outcome = Outcome(Fate.AWAY, f"spool {self._spool.directory}: {error}")
            except Exception as error:  # a fault of ours must not end delivery without a word
                _log.exception("delivery failed")
                outcome = Outcome(Fate.REFUSED, f"delivery failed: {error!r}")
            if outcome.fate is Fate.HELD:
                self._well()
            elif self._ending.is_set():
                return
            else:
                self._ill(outcome)

    def _deliver(self, batch: Spooled) -> Outcome:
        """Send a batch once, and do what its fate asks for; HELD where the next one may be sent at once."""
        outcome = self._receiver.deliver(batch)
        if self._over.is_set():  # the spool is not ours any more
            return outcome
        match outcome.fate:
            case Fate.HELD:
                self._spool.forget(batch)
                if outcome.expected > self._spool.next:
                    words = "%s holds batches of this spool that are not from here: was it copied? A new incarnation begins"
                    _log.error(words, self._receiver.name)
                    self._spool.renew()
            case Fate.EXPECTED if batch.sequence > 1:
                words = "%s has not what it was given before (%s): a new incarnation begins"
                _log.error(words, self._receiver.name, outcome.words)
                self._spool.renew()
                return Outcome(Fate.HELD)
            case Fate.REFUSED if outcome.status == _WRONG and batch.watermark > time.time():
                self._spool.set_aside("of a time to come: the clock was ahead")
                return Outcome(Fate.HELD)
            case Fate.LARGE:
                if self._spool.split(batch):
                    return Outcome(Fate.HELD)
        return outcome

    def _well(self) -> None:
        if self._trouble:
            words = "delivering again to %s, after %d s and %d tries"
            _log.info(words, self._receiver.name, time.time() - self._since, self._tries)
        self._trouble, self._kind, self._tries = "", None, 0

    def _ill(self, outcome: Outcome) -> None:
        """Say what is wrong, once, and wait."""
        if not self._trouble:
            self._since = time.time()
        self._trouble = outcome.words
        kind = outcome.fate, outcome.status
        if kind != self._kind:
            _log.warning("%s; batches wait in the spool", outcome.words)
        self._kind = kind
        wait = min(self._longest_wait, self._first_wait * 2 ** min(self._tries, 30))
        if outcome.fate is not Fate.AWAY:  # somebody must act first
            wait = self._longest_wait
        self._tries += 1
        self._ending.wait((outcome.after or wait) * random.uniform(1, 1.25))
