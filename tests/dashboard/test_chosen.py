"""The filters of a view as people read them."""

from __future__ import annotations

import pytest

from tests.dashboard.accounts import see
from tests.dashboard.site import Visitor


@pytest.mark.parametrize("page", ["/resets", "/connections"])
def test_networks_that_were_chosen_are_named(visitor: Visitor, page: str) -> None:
    assert "Network: Example Mobile (AS64497)" in see(visitor, f"{page}?asn=64497")
    told = see(visitor, f"{page}?asn=-64497,65551&sensor=odd")
    assert "Network: not Example Mobile (AS64497), AS65551" in told
    assert "Sensor: odd" in told
