"""The readable reference implementation: the test oracle and what `explain` tells from."""

from halfopen.connections.reference.story import Event, Story
from halfopen.connections.reference.tracker import ReferenceTracker

__all__ = ["Event", "ReferenceTracker", "Story"]
