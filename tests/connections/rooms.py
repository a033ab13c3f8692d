"""What a flow table has in use, to see that nothing leaks."""

from __future__ import annotations

from halfopen.connections.layout import FEW, STACKS
from halfopen.connections.limits import Limits
from halfopen.connections.tracker import Tracker
from halfopen.model import PACKETS_KEPT, new_counters

STEPS = {"later": PACKETS_KEPT - FEW}
"""Cells of what is taken together."""


def ever_used(tracker: Tracker) -> dict[str, int]:
    """How many of each kind were ever taken at the same time: so many cost memory."""
    fresh = Tracker(Limits(max_connections=tracker.limit), new_counters())._state[0]
    return {
        kind: int(tracker._state[0][f"{kind}_used"] - fresh[f"{kind}_used"]) // STEPS.get(kind, 1)
        for kind in STACKS
    }


def in_use(tracker: Tracker) -> dict[str, int]:
    """How many of each kind are taken and not given back."""
    return {kind: used - int(tracker._state[0][f"{kind}_free"]) for kind, used in ever_used(tracker).items()}
