"""Writes MMDB files for tests, of any layout and record size."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mmdb_writer import MMDBWriter, TreeWriter
from netaddr import IPSet
from numpy.typing import NDArray

from halfopen.places import Places

BUILT = 1_735_689_600  # 2025-01-01


class _Writer(MMDBWriter):
    """With a fixed build time."""

    built: int = BUILT

    def _build_meta(self) -> dict[str, Any]:
        return {**super()._build_meta(), "build_epoch": self.built}


class _Tree(TreeWriter):
    """With a record size that is larger than it has to be."""

    smallest: int = 24

    def _adjust_record_size(self) -> None:
        super()._adjust_record_size()
        self.record_size = max(self.record_size, self.smallest)
        self.data_offset = self.record_size * 2 / 8 * self._node_counter


def write(
    path: Path,
    networks: Mapping[str, Any],
    *,
    ip_version: int = 6,
    record_size: int = 24,
    database_type: str = "Test",
    built: int = BUILT,
) -> Path:
    """A file that maps networks, later ones over earlier ones, to records."""
    writer = _Writer(
        ip_version, database_type, ["en"], "for a test", ipv4_compatible=ip_version == 6, int_type="u32"
    )
    writer.built = built
    for network, record in networks.items():
        writer.insert_network(IPSet([network]), record)
    tree = _Tree(writer.tree, writer._build_meta(), writer.int_type)
    tree.smallest = record_size
    tree.write(str(path))
    return path


def country(code: str) -> dict[str, Any]:
    """A record of MaxMind's layout."""
    return {"country": {"iso_code": code}}


def asn(number: int, organisation: str = "") -> dict[str, Any]:
    """A record of MaxMind's layout."""
    return {"autonomous_system_number": number, "autonomous_system_organization": organisation}


def halves(*addresses: str) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Addresses as the two halves of IPv6 addresses, IPv4 mapped."""
    numbers = [
        int(address) | (0xFFFF << 32 if address.version == 4 else 0)
        for address in map(ipaddress.ip_address, addresses)
    ]
    hi = np.array([number >> 64 for number in numbers], np.uint64)
    return hi, np.array([number & 2**64 - 1 for number in numbers], np.uint64)


def look_up(places: Places, *addresses: str) -> list[tuple[int, str, str]]:
    """ASN, location and continent of each address."""
    rows = places.lookup(*halves(*addresses))
    return [(int(row["asn"]), row["location"].decode(), row["continent"].decode()) for row in rows]
