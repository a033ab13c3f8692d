"""Make captures/places/halfopen-demo.mmdb: places for the test bed's hosts, without an account anywhere.

Networks are documentation prefixes (RFC 5737, RFC 3849), AS numbers are documentation numbers
(RFC 5398). Countries and organisations are invented. The bytes are the same at every run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from mmdb_writer import MMDBWriter
from netaddr import IPSet

NETWORKS: Final = (
    # clients
    ("192.0.2.0/26", 64496, "Example Access", "DE", "EU"),
    ("192.0.2.64/26", 64497, "Example Mobile", "MX", "NA"),
    ("192.0.2.128/26", 64498, "Example Cable", "US", "NA"),
    ("192.0.2.192/26", 64499, "Example Backbone", "BR", "SA"),
    ("198.51.100.0/26", 64500, "Example Fibre", "IN", "AS"),
    ("198.51.100.64/26", 64501, "Example Telecom", "ID", "AS"),
    ("198.51.100.128/26", 64502, "Example Broadband", "KE", "AF"),
    ("198.51.100.192/26", 64503, "Example Wireless", "NG", "AF"),
    ("203.0.113.0/26", 64504, "Example Island Networks", "NZ", "OC"),
    ("203.0.113.64/26", 64505, "Example Research Network", "AU", "OC"),
    ("2001:db8:1::/48", 64496, "Example Access", "DE", "EU"),
    ("2001:db8:2::/48", 64506, "Example Community", "PE", "SA"),
    # servers
    ("203.0.113.128/25", 64510, "Example Hosting", "NL", "EU"),
    ("2001:db8:ffff::/48", 64510, "Example Hosting", "NL", "EU"),
)
"""Network, AS number, organisation, country, continent."""

BUILT: Final = 1_735_689_600
"""Build time in the file: 2025-01-01 00:00:00 UTC."""

OUTPUT: Final = Path(__file__).resolve().parent.parent / "captures" / "places" / "halfopen-demo.mmdb"


class _Writer(MMDBWriter):
    """Writes the build time above and not that of the run."""

    def _build_meta(self) -> dict[str, Any]:
        return {**super()._build_meta(), "build_epoch": BUILT}


def make(output: Path) -> None:
    """Write the file in MaxMind's layout, country and network in one record."""
    writer = _Writer(
        ip_version=6,
        ipv4_compatible=True,
        database_type="Halfopen-Demo",
        languages=["en"],
        description="Invented places of documentation prefixes",
        int_type="u32",
    )
    for network, asn, organisation, country, continent in NETWORKS:
        record = {
            "autonomous_system_number": asn,
            "autonomous_system_organization": organisation,
            "continent": {"code": continent},
            "country": {"iso_code": country},
        }
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(str(output))


if __name__ == "__main__":
    make(OUTPUT)
    print(f"{OUTPUT.name}: {len(NETWORKS)} networks, {OUTPUT.stat().st_size} bytes")
