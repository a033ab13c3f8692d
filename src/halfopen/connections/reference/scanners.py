"""Which scanner's hand a SYN shows (docs/method.md, scanners)."""

from __future__ import annotations

from halfopen.connections.reference.connection import Endpoint, Packet
from halfopen.connections.rules import Tag
from halfopen.model import Option, Trait


def scanner_tags(syn: Packet, server: Endpoint, traits: int, options: int) -> set[Tag]:
    """Which scanner's hand the first SYN shows, if any."""
    tags = set()
    if syn.ip_id == 54321 and syn.window == 65535:
        tags.add(Tag.zmap)
    if traits & Trait.IPV6:
        return tags
    windows_like = Option.MSS | Option.SACK_PERMITTED | Option.SCALE | Option.SCALE_8
    if syn.window == 65535 and not traits & Trait.DONT_FRAGMENT and options == windows_like:
        tags.add(Tag.zmap_new)
    address = server[1] & 0xFFFF_FFFF
    if syn.window in (1024, 1025) and syn.ip_id == (address ^ server[2] ^ syn.seq) & 0xFFFF:
        tags.add(Tag.masscan)
    if syn.seq == address:
        tags.add(Tag.mirai)
    return tags
