"""Tunnels: who owns them, what is connected to them, and where hostnames lead."""
