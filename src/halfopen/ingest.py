"""From captures to the store."""
