"""What streams of a QUIC connection between edge and connector begin with, and how requests and calls are made on them.

The control stream has no beginning of its own: it is the connector's first, and calls are made on it at once.
"""
