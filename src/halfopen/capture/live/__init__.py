"""Packets as they come, from a network interface or from the firewall."""

from typing import Final

ANY: Final = "any"
"""Stands for all interfaces, each packet taken where it is seen first (`devices.doubles`)."""
