"""The dataset: connections as they were judged, and what they add up to by time and place.

`query` says what can be asked of it; `store.Store` is its front door.
"""
