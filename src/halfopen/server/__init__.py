"""The HTTP server: the routes put together."""

from typing import Final

DATA: Final = "HALFOPEN_SERVER_DATA"
STORE: Final = "HALFOPEN_SERVER_STORE"
"""Environment variables in which `halfopen serve` tells its workers where data directory and dataset lie."""

KEEP_CONNECTIONS: Final = "HALFOPEN_SERVER_KEEP_CONNECTIONS"
KEEP_ROLLUPS: Final = "HALFOPEN_SERVER_KEEP_ROLLUPS"
"""And for how many seconds connections and rollups are kept."""

PLACES: Final = "HALFOPEN_SERVER_PLACES"
"""And which places files there are: a JSON list of paths; none where it is not set."""

TRUSTED_PROXIES: Final = "HALFOPEN_SERVER_TRUSTED_PROXIES"
"""And the networks of reverse proxies that are believed, separated by commas."""

GRACE: Final = "HALFOPEN_SERVER_GRACE"
"""And for how many seconds a tunnel's connection that broke off is pending."""
