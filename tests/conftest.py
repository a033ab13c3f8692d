"""Set-up shared by all tests: kernels run with their bounds checked, required parts are required."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# Before numba is imported anywhere: checked kernels live in a cache of their own.
os.environ["NUMBA_BOUNDSCHECK"] = "1"
os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(tempfile.gettempdir()) / f"halfopen-checked-{os.getuid()}"))

# `pytest --hypothesis-profile fuzz` looks a hundred times longer.
settings.register_profile("suite", max_examples=300, deadline=None)
settings.register_profile("fuzz", max_examples=30_000, deadline=None)
settings.load_profile("suite")

Require = Callable[[bool, str], None]


@pytest.fixture
def require() -> Require:
    """Skip where a real part is missing; fail instead where HALFOPEN_REQUIRE_ALL=1."""

    def check(present: bool, what: str) -> None:
        if present:
            return
        if os.environ.get("HALFOPEN_REQUIRE_ALL") == "1":
            pytest.fail(f"required and missing: {what}")
        pytest.skip(f"missing: {what}")

    return check
