"""One process commits at a time: who waits gets it next, who dies or hangs loses it, and notices."""

from __future__ import annotations

import threading
import time
import uuid
from contextlib import closing

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from obstore.store import MemoryStore

from halfopen.errors import LeaseError, StoreError
from halfopen.store import object_lease
from halfopen.store.lease import myself
from halfopen.store.object_lease import COURTESY, NAME, TERM, ObjectLease
from halfopen.store.place import Place
from halfopen.store.store import Store
from tests.conftest import Require

COUNT = 4
SLOTS = st.integers(0, COUNT - 1)


class _Memory(Place):
    """An object store in memory. With `deaf` set the answer to the next writing is lost."""

    def __init__(self) -> None:
        super().__init__("s3://memory/store")
        self._objects = MemoryStore()
        self.deaf = False

    def replace(self, name: str, content: bytes, mark: str | None) -> str:
        written = super().replace(name, content, mark)
        if self.deaf:
            self.deaf = False
            raise StoreError(self.uri, "no answer")
        return written


class Processes(RuleBasedStateMachine):
    """Some processes that want the lease of one store, each at its own pace; they die and hang."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.place = _Memory()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(object_lease, "_now", lambda: self.now)
        self.leases = [ObjectLease(self.place) for _ in range(COUNT)]
        self.past: list[ObjectLease] = []
        self.holding = [False] * COUNT  # what each believes
        self.owner: int | None = None  # who took it last
        self.touched = 0.0  # when the owner last was sure of it

    def teardown(self) -> None:
        for lease in [*self.leases, *self.past]:
            lease._ended.set()
        self.patch.undo()

    def attempt_by(self, slot: int) -> bool:
        try:
            taken = self.leases[slot].attempt() is None
        except StoreError:
            return False
        if taken:
            if self.owner is not None:
                assert self.now - self.touched >= TERM / 2, "taken from somebody who was sure of it"
            self.owner, self.touched = slot, self.now
            self.holding[slot] = True
        return taken

    @rule(slot=SLOTS)
    def attempts(self, slot: int) -> None:
        if not self.holding[slot]:
            self.attempt_by(slot)

    @rule(slot=SLOTS)
    def checks(self, slot: int) -> None:
        if self.holding[slot]:
            try:
                self.leases[slot].check()
                sure = True
            except LeaseError:
                sure = False
            except StoreError:
                return
            assert sure == (self.owner == slot)
            if sure:
                self.touched = max(self.touched, self.leases[slot]._renewed)

    @rule(slot=SLOTS)
    def releases(self, slot: int) -> None:
        if self.holding[slot]:
            self.leases[slot].release()
            self.holding[slot] = False
            if self.owner == slot:
                self.owner = None

    @rule(slot=SLOTS)
    def dies(self, slot: int) -> None:
        self.past.append(self.leases[slot])
        self.leases[slot] = ObjectLease(self.place)
        self.holding[slot] = False
        if self.owner == slot:
            self.owner = COUNT  # nobody who could check

    @rule(seconds=st.sampled_from([0.1, 1.0, COURTESY + 0.1, TERM / 2 + 1, TERM + 1]))
    def waits(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def loses_an_answer(self) -> None:
        self.place.deaf = True

    @rule(slot=SLOTS)
    @precondition(lambda self: not self.place.deaf)
    def gets_it_in_the_end(self, slot: int) -> None:
        """If all the others fall silent."""
        if self.holding[slot] and self.owner == slot:
            return
        self.holding = [False] * COUNT
        for _ in range(3):
            if self.attempt_by(slot):
                return
            self.now += TERM + 1
        raise AssertionError("never")


Processes.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestProcesses = Processes.TestCase


def test_who_waits_is_next_unless_it_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(object_lease, "_now", lambda: now[0])
    place = _Memory()
    busy, waiting, late = (ObjectLease(place) for _ in range(3))
    assert busy.attempt() is None
    assert waiting.attempt() == late.attempt() == myself()
    busy.release()
    for other in (busy, late):  # at once again, as an ingestion of many small files does
        assert other.attempt() is not None
    assert waiting.attempt() is None
    assert busy.attempt() is not None
    waiting.release()  # and `busy`, which is next now, has died
    for _ in range(2):  # it may learn that what it knew is old, or look
        assert late.attempt() is not None
    now[0] += COURTESY + 1
    assert late.attempt() is None
    late.release()
    assert late.attempt() is None  # nobody waits for the dead a second time
    late.release()


def test_a_lease_is_renewed_while_it_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_lease, "TERM", 0.3)
    place = _Memory()
    holder = ObjectLease(place)
    assert holder.attempt() is None
    first = place.mark(NAME)
    end = time.monotonic() + 20
    while place.mark(NAME) == first:
        assert time.monotonic() < end
        time.sleep(0.05)
    holder.check()
    holder.release()
    assert ObjectLease(place).attempt() is None


def test_a_damaged_lease_is_told_of() -> None:
    place = _Memory()
    place.replace(NAME, b"{", None)
    with pytest.raises(StoreError, match="is no lease"):
        ObjectLease(place).attempt()


def test_an_object_store_that_heeds_no_conditions_is_refused(s3: str | None, require: Require) -> None:
    require(s3 is not None, "moto")
    with (
        closing(Store(f"s3://careless/{uuid.uuid4()}", create=True, threads=1)) as store,
        pytest.raises(StoreError, match="does not heed If-None-Match and If-Match"),
    ):
        store.committer().follow()


def test_who_waits_hears_for_whom_and_gives_up(store: Store) -> None:
    heard: list[str] = []
    waiting = store.committer(patience=1.5, told=heard.append)
    with store.committer().lock, pytest.raises(LeaseError, match=f"{myself()} still commits to it"):
        waiting.follow()
    assert heard == [myself()]
    waiting.follow()


def test_a_turn_holds_threads_apart_and_itself_together(store: Store) -> None:
    committer = store.committer()
    begun, order = threading.Event(), []

    def other() -> None:
        begun.set()
        with committer.lock:
            order.append("other")

    with committer.lock:
        thread = threading.Thread(target=other)
        thread.start()
        begun.wait()
        with committer.lock:
            committer.follow()
        with pytest.raises(LeaseError):  # still held
            store.committer(patience=0).follow()
        order.append("first")
    thread.join()
    assert order == ["first", "other"]
    store.committer(patience=0).follow()
