"""Halfopen: how TCP connections to your servers die."""

__version__ = "0.1.0"
