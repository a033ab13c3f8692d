"""Permission groups, and which of them open what (A22, B1).

Where Cloudflare has a group its name is used, so that a list of permissions reads alike on both.
"""

from __future__ import annotations

from typing import Final

USER_DETAILS_READ: Final = "User Details Read"
USER_DETAILS_WRITE: Final = "User Details Write"
RADAR_READ: Final = "radar:read"
CONNECTIONS_READ: Final = "connections:read"
SENSOR_WRITE: Final = "sensor:write"
EDGE_REPORT: Final = "edge:report"
ADMIN: Final = "admin"

PERMISSIONS: Final = {
    RADAR_READ: "shares and counts of all sensors, places, annotations",
    CONNECTIONS_READ: "single connections with their evidence",
    SENSOR_WRITE: "deliver the connections of one sensor, named with the token",
    USER_DETAILS_READ: "the user of the token, and what radar:read opens",
    USER_DETAILS_WRITE: "as User Details Read",
    "Cloudflare One Connectors Read": "read tunnels",
    "Cloudflare One Connectors Write": "read and change tunnels",
    "Cloudflare One Connector: cloudflared Read": "read tunnels",
    "Cloudflare One Connector: cloudflared Write": "read and change tunnels",
    "Cloudflare Tunnel Read": "read tunnels",
    "Cloudflare Tunnel Write": "read and change tunnels",
    EDGE_REPORT: "report the connections of one edge, named with its key",
    ADMIN: "everything but delivering as a sensor or reporting as an edge",
}
"""Every permission group and what it opens."""

ANYBODY: Final[frozenset[str]] = frozenset()
"""What any principal may ask: whether its token is good, and which accounts it may see."""

USER: Final = frozenset({USER_DETAILS_READ, USER_DETAILS_WRITE})
RADAR: Final = frozenset({USER_DETAILS_READ, USER_DETAILS_WRITE, RADAR_READ})
CONNECTIONS: Final = frozenset({CONNECTIONS_READ})
SENSOR: Final = frozenset({SENSOR_WRITE})
EDGE: Final = frozenset({EDGE_REPORT})
ADMINISTRATION: Final = frozenset({ADMIN})
TUNNELS_WRITE: Final = frozenset(
    name for name in PERMISSIONS if name.startswith("Cloudflare") and name.endswith("Write")
)
TUNNELS_READ: Final = frozenset(name for name in PERMISSIONS if name.startswith("Cloudflare"))


def opens(held: frozenset[str], opened_by: frozenset[str]) -> bool:
    """Whether one of the permissions `held` opens what any of `opened_by` opens."""
    if not opened_by or held & opened_by:
        return True
    # An administrator is no sensor and no edge: what they tell belongs to a name that the token carries.
    return ADMIN in held and not opened_by & {SENSOR_WRITE, EDGE_REPORT}
