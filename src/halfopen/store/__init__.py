"""The dataset: connections as they were judged, and what they add up to by time and place."""
