"""The readable reference implementation: the test oracle and what `explain` tells from."""

from halfopen.connections.reference.tracker import Event, ReferenceTracker, Story

__all__ = ["Event", "ReferenceTracker", "Story"]
