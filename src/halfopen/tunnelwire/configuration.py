"""What becomes of a configuration that an edge sends, the same over either transport."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Applied:
    """The version the connector is configured with, and what was wrong with the one that was sent."""

    version: int
    error: str


@dataclass(frozen=True)
class NotApplied:
    """The connector gave no answer: why."""

    reason: str


@dataclass(frozen=True)
class ConfigurationSent:
    """The edge tells the connector its configuration (JSON)."""

    version: int
    config: bytes
