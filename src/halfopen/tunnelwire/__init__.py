"""The protocol between a connector (cloudflared) and an edge, both sides of it, without input or output.

Bytes go in and events come out, commands go in and bytes come out. Whatever the other end sends, nothing but WireError comes of it.
"""
