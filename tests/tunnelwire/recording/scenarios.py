"""All scenarios by name."""

from __future__ import annotations

from typing import Final

from tests.tunnelwire.recording import exchanges, sessions
from tests.tunnelwire.recording.scenario import Scenario

SCENARIOS: Final[dict[str, Scenario]] = {
    name: each
    for module in (exchanges, sessions)
    for name, each in vars(module).items()
    if isinstance(each, Scenario)
}
