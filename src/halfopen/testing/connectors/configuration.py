"""What a connector is configured with, as far as the edge can tell: what the rules say is its origin's business."""

from __future__ import annotations

import json
from typing import Final

from halfopen.tunnelwire.configuration import ConfigurationSent

NOT_ALL: Final = (
    "The last ingress rule must match all URLs (i.e. it should not have a hostname or path filter)"
)


class Configuration:
    """That of a connector: its `version`, and whether it has any rules to be `serving` by."""

    def __init__(self, serving: bool = False) -> None:
        """One that has none yet is `serving` where it was given an origin at its start, as by ``--url``."""
        self.version = -1
        self.serving = serving

    def take(self, sent: ConfigurationSent) -> str:
        """Go by one that is newer than what there is; gives what is wrong with it, or nothing."""
        if sent.version <= self.version:
            return ""
        try:
            rules = json.loads(sent.config).get("ingress") or []
            if rules and (rules[-1].get("hostname") or rules[-1].get("path")):
                return NOT_ALL
        except (ValueError, AttributeError) as error:
            return str(error)
        self.version, self.serving = sent.version, bool(rules)
        return ""
