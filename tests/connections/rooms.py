"""What a flow table has in use, to see that nothing leaks."""

from __future__ import annotations

from halfopen.connections.layout import FEW, STACKS
from halfopen.connections.limits import Limits
from halfopen.connections.tracker import Tracker
from halfopen.model import PACKETS_KEPT, new_counters

STEPS = {"few": FEW, "block": PACKETS_KEPT}
"""Cells of what is taken together."""


def in_use(tracker: Tracker) -> dict[str, int]:
    """How many of each kind are taken and not given back."""
    fresh = Tracker(Limits(max_connections=tracker.limit), new_counters())._state[0]
    state = tracker._state[0]
    return {
        kind: int(state[f"{kind}_used"] - fresh[f"{kind}_used"]) // STEPS.get(kind, 1)
        - int(state[f"{kind}_free"])
        for kind in STACKS
    }
