"""A places file for the benchmark's clients: 2,048 networks in 198.18.0.0/15 and 2001:db8:1::/48."""

from __future__ import annotations

import sys

from mmdb_writer import MMDBWriter
from netaddr import IPNetwork, IPSet

COUNTRIES = (("DE", "EU"), ("BR", "SA"), ("IN", "AS"), ("US", "NA"), ("NG", "AF"), ("AU", "OC"))


def main(file: str) -> None:
    """Write the MMDB file."""
    writer = MMDBWriter(6, ipv4_compatible=True, database_type="Halfopen-Benchmark")
    networks = [*IPNetwork("198.18.0.0/15").subnet(25), *IPNetwork("2001:db8:1::/48").subnet(58)]
    for number, network in enumerate(networks):
        country, continent = COUNTRIES[number % len(COUNTRIES)]
        record = {
            "country": {"iso_code": country},
            "continent": {"code": continent},
            "autonomous_system_number": 64_496 + number % 16,
            "autonomous_system_organization": f"Network {number % 16}",
        }
        writer.insert_network(IPSet([network]), record)
    writer.to_db_file(file)


if __name__ == "__main__":
    main(sys.argv[1])
