"""What a client says first: a TLS ClientHello with a server name, an HTTP request with a Host."""

from __future__ import annotations

import struct

X25519, X25519MLKEM768 = 0x001D, 0x11EC


POST_QUANTUM_SIZE = 1_780
"""Size of a ClientHello with a post-quantum key share: more than one segment of Ethernet holds."""


def client_hello(
    name: str | None = "www.example", *, post_quantum: bool = False, name_last: bool = False
) -> bytes:
    """A TLS 1.3 ClientHello in its record (RFC 8446 section 4.1.2); no name means no server_name.

    With `post_quantum` it holds a key share of 1,216 bytes more and needs two segments, as browsers'
    do; `name_last` then puts the name into the second.
    """
    shares = _key_share(X25519, 32)
    if post_quantum:
        shares = _key_share(X25519MLKEM768, 1216) + shares
    names = b"" if name is None else _extension(0, _sized(b"\0" + _sized(name.encode())))
    extensions = b"" if name_last else names
    extensions += _extension(0x2B, b"\x02\x03\x04")  # supported_versions: 1.3
    extensions += _extension(0x0A, _sized(struct.pack("!HH", X25519MLKEM768, X25519)))
    extensions += _extension(0x0D, _sized(bytes.fromhex("0403 0804 0401")))
    extensions += _extension(0x10, _sized(b"\x02h2\x08http/1.1"))
    extensions += _extension(0x33, _sized(shares))
    if post_quantum:  # RFC 7685; browsers fill this room with ECH and pre-shared keys
        extensions += _extension(
            0x15, bytes(POST_QUANTUM_SIZE - 92 - len(extensions) - len(names) * name_last)
        )
    extensions += names if name_last else b""
    body = b"\x03\x03" + bytes(range(32)) + b"\x20" + bytes(range(32, 64))
    body += _sized(bytes.fromhex("1301 1302 1303")) + b"\x01\0" + _sized(extensions)
    handshake = b"\x01" + len(body).to_bytes(3, "big") + body
    return b"\x16\x03\x01" + _sized(handshake)


def http_request(host: str | None = "www.example", *, path: str = "/", method: str = "GET") -> bytes:
    """An HTTP/1.1 request without a body (RFC 9112)."""
    lines = [
        f"{method} {path} HTTP/1.1",
        *([f"Host: {host}"] if host else []),
        "User-Agent: halfopen",
        "",
        "",
    ]
    return "\r\n".join(lines).encode()


def http_answer(body: bytes = b"ok\n") -> bytes:
    """An HTTP/1.1 answer."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def _sized(value: bytes) -> bytes:
    return struct.pack("!H", len(value)) + value


def _extension(kind: int, value: bytes) -> bytes:
    return struct.pack("!H", kind) + _sized(value)


def _key_share(group: int, size: int) -> bytes:
    return struct.pack("!H", group) + _sized(bytes(i & 0xFF for i in range(size)))
