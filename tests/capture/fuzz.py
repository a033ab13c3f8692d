"""Fuzzing by hand, as long as wanted: ``python -m tests.capture.fuzz [EXAMPLES]``.

Every capture goes through the kernels with their bounds checked and through the reference.
"""

from __future__ import annotations

import sys

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tests.conftest  # noqa: F401  (checks the bounds of kernels; must come first)
from tests.capture.comparison import assert_same
from tests.capture.strategies import captures


def main(examples: int) -> None:
    """Read `examples` captures both ways; raises at the first that differs."""

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(captures(), st.sampled_from([1 << 22, 1 << 22, 7]))
    def fuzz(data: bytes, step: int) -> None:
        assert_same(data, step)

    fuzz()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
