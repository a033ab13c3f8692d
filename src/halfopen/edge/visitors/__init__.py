"""Visitors: their connections, requests in and answers out."""
