"""Packets as they come, from a network interface or from the firewall."""
