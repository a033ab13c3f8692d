"""Any bytes, from the file to the verdict: kernels and references say the same, and nothing crashes."""

from __future__ import annotations

from tempfile import NamedTemporaryFile

from hypothesis import HealthCheck, given, settings

from halfopen.capture.source import open_captures
from halfopen.connections.limits import Limits
from halfopen.connections.reference import ReferenceTracker
from halfopen.connections.tracker import Tracker
from halfopen.model import Batch, Counter
from tests.capture.strategies import captures
from tests.connections.packets import Outcome, differences, run


@settings(suppress_health_check=list(HealthCheck))
@given(data=captures())
def test_generated_and_damaged_captures(data: bytes) -> None:
    """Mutated captures of all formats and link types through reader, flow table and judge."""
    with NamedTemporaryFile(suffix=".cap") as file:
        file.write(data)
        file.flush()
        (capture,) = open_captures([file.name])
        batches = [Batch(batch.rows.copy(), batch.data.copy()) for batch in capture.batches()]
    fast, plain = Outcome(), Outcome()
    run(Tracker(Limits(max_connections=64), fast.counters, packets=True), fast, batches, capture.clock)
    run(ReferenceTracker(Limits(max_connections=64), plain.counters), plain, batches, capture.clock)
    assert not differences(plain, fast)
    judged = fast.counters
    assert judged[Counter.connections] == sum(judged[Counter.decided : Counter.evicted + 1])
