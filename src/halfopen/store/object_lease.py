"""The lease of a store in an object store: an object that says who holds it, and who is next.

Whoever writes it does so under the condition that it is as it was last seen (If-Match with its ETag), so each
version follows from the one before, and of two writers one is refused. The holder writes it anew every third of
its term. Who waits looks at it, and takes it once it was seen unchanged for the whole term, by the waiting
process's own clock: the clocks of two hosts are never compared. The holder looks before each commit whether half
of its term is over, and then writes it first: if it was paused and lost the lease meanwhile, it is refused there.

Who waits writes itself down as next where nobody is. A lease let go is for the next one alone as long as that
one may be expected to look, so whoever commits without a pause does not keep others out.
"""

from __future__ import annotations

import threading
import time
import uuid
from contextlib import suppress
from typing import Any, Final

import msgspec

from halfopen.errors import LeaseError, StoreError
from halfopen.store.lease import myself
from halfopen.store.place import Overtaken, Place

NAME: Final = "committer.lease"

TERM: Final = 30.0
"""Seconds for which a lease is held without being written anew."""

COURTESY: Final = 3.0
"""Seconds for which a free lease is left to who is next."""

_ANOTHER: Final = "another process"
_CLOCK: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def _now() -> float:
    """Seconds of this machine's own, those included for which it sleeps, where it counts them."""
    return time.clock_gettime(_CLOCK)


class _State(msgspec.Struct, frozen=True):
    """What the object says."""

    number: int = 0  # one more with each version: no two are equal, or their ETags would be
    holder: str = ""  # identifier of who holds it; none: nobody
    words: str = ""  # the holder, for people
    term: float = 0.0  # s
    waiting: str = ""  # identifier of who is next


class ObjectLease:
    """The lease of a store in an object store."""

    step = 0.1

    def __init__(self, place: Place) -> None:
        self._place = place
        self._me = uuid.uuid4().hex
        self._lock = threading.Lock()  # the renewing thread's and the committing one's
        self._mark: str | None = None
        self._state: _State | None = None  # what the version with that mark says; None: not known
        self._seen = 0.0  # since when it is known
        self._renewed = 0.0  # when our last version of a held lease was written
        self._proven = False
        self._ended = threading.Event()

    def attempt(self) -> str | None:
        """Hold the lease from now on: None. If somebody else does, who it is."""
        with self._lock:
            if not self._ours():
                self._look()
            if not self._ours():
                state = self._known()
                if not state.waiting:
                    self._write(waiting=self._me)
                return state.words or _ANOTHER
            begun = _now()
            if not self._write(holder=self._me, words=myself(), term=TERM, waiting=""):
                return _ANOTHER
            if not self._proven:
                self._prove()
            self._renewed = begun
            self._ended = threading.Event()
            threading.Thread(target=self._keep, args=(self._ended,), name="lease", daemon=True).start()
            return None

    def check(self) -> None:
        """Before each commit: LeaseError if the lease held is somebody else's by now."""
        with self._lock:
            if self._known().holder != self._me or _now() - self._renewed > TERM / 2:
                self._renew()

    def release(self) -> None:
        """Let the lease go."""
        with self._lock:
            self._ended.set()
            with suppress(StoreError):  # then its term ends it
                while self._known().holder == self._me:
                    self._write(holder="", words="")

    def _ours(self) -> bool:
        """Whether, by the version known, the lease may be taken; should there be a newer one, taking it will fail."""
        if self._state is None:
            return False
        known_for = _now() - self._seen
        if not self._state.holder:
            return self._state.waiting in ("", self._me) or known_for > COURTESY
        # Ours without our knowledge if the answer to our writing was lost.
        return self._state.holder == self._me or known_for > self._state.term

    def _keep(self, ended: threading.Event) -> None:
        while not ended.wait(TERM / 3):
            with self._lock, suppress(StoreError):  # `check` sees to it
                if not ended.is_set():
                    self._renew()

    def _renew(self) -> None:
        while self._known().holder == self._me:
            begun = _now()
            if self._write():
                self._renewed = begun
                return
        holder = self._known().words or _ANOTHER
        raise LeaseError(
            self._place.uri, f"this process stood still for too long, {holder} commits to it now"
        )

    def _known(self) -> _State:
        if self._state is None:
            self._look()
            assert self._state is not None
        return self._state

    def _look(self) -> None:
        """Know the newest version."""
        if self._state is not None and self._place.mark(NAME) == self._mark:
            return
        found = self._place.read(NAME)
        try:
            self._state = msgspec.json.decode(found[0], type=_State) if found else _State()
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise StoreError(self._place.uri, f"{NAME} is no lease: {error}") from error
        self._mark = found[1] if found else None
        self._seen = _now()

    def _write(self, **changes: Any) -> bool:
        """Write the version after the one known; False if there is another one already."""
        state = self._known()
        state = msgspec.structs.replace(state, number=state.number + 1, **changes)
        self._state = None  # whatever goes wrong
        try:
            self._mark = self._place.replace(NAME, msgspec.json.encode(state), self._mark)
        except Overtaken:
            return False
        self._state, self._seen = state, _now()
        return True

    def _prove(self) -> None:
        """StoreError if the object store does not heed conditions: then the tables were not safe in it either."""
        for mark in (None, '"none"'):
            with suppress(Overtaken):
                self._place.replace(NAME, msgspec.json.encode(self._known()), mark)
                raise StoreError(
                    self._place.uri, "this object store does not heed If-None-Match and If-Match"
                )
        self._proven = True
