"""Where addresses lie: AS number, country and continent from MMDB files that operators bring."""

from halfopen.places.lookup import Places
from halfopen.places.mmdb import Source

__all__ = ["Places", "Source"]
