"""The kernels and the reference say the same of every capture."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from halfopen.capture import reading
from tests.capture.comparison import assert_same
from tests.capture.strategies import captures


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(captures(), st.sampled_from([1 << 22, 1 << 22, 7]))
def test_any_capture_reads_the_same_in_kernels_and_reference(data: bytes, step: int) -> None:
    assert_same(data, step)


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(captures())
def test_full_batches_change_nothing(data: bytes) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "ROWS", 3)
        assert_same(data)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=64))
def test_bytes_of_no_meaning_are_damage(data: bytes) -> None:
    assert assert_same(data).damage is not None
