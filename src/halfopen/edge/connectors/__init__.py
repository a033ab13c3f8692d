"""Connectors: their connections over HTTP/2 and QUIC, from arrival until they leave."""
