"""Conversations between an edge's end of ours and a connector: scenarios, played with stock cloudflared, with a recording, or with our connector.

A scenario is written once, as what the edge does. Played with cloudflared it is recorded; played with the recording it shows that the edge
still understands cloudflared; played with our connector it shows that this one behaves as cloudflared does.
"""
