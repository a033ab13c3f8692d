"""Every figure, drawn once."""

from __future__ import annotations

from collections.abc import Mapping

import altair
import pytest

from tests.figures.answered import all_figures


@pytest.fixture(scope="session")
def charts() -> Mapping[str, altair.TopLevelMixin]:
    """Each figure by its name."""
    return all_figures()
