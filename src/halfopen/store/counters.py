"""What a sensor counts, beside the packets that it lost: by name, since its process began."""

from __future__ import annotations

from typing import Final

from halfopen.model import STAGES

COUNTERS: Final = {
    "received": "packets that the operating system meant to hand on, those that were lost among them",
    "packets": "packets that were looked at",
    "no_match": "connections that ended well",
    "post_syn": "connections cut after the SYN",
    "post_ack": "connections cut after the handshake",
    "post_psh": "connections cut after the first data",
    "later_in_flow": "connections cut later",
    "left_out": "connections without a stage",
    "evicted": "connections left out because the table of them had no room",
    "unsampled": "connections that left the sample when it was made smaller",
    "spooled": "connections put into the spool",
    "delivered": "connections taken out of the spool again, because they were held",
    "lost": "connections for which the spool had no room",
}
"""Each counter and what it counts, packets or connections."""

DECIDED: Final = tuple(stage.name for stage in STAGES)
"""The counters that together are all connections with a stage."""
