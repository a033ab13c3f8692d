"""The walk through all prefixes, and the networks gathered from them: equal to maxminddb's own iteration."""

from __future__ import annotations

import ipaddress
import random
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

import maxminddb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halfopen.places import Places
from halfopen.places import networks as gathering
from halfopen.places.networks import Network, networks
from halfopen.places.prefixes import Tree
from tests.places.files import asn, country, write
from tests.places.strategies import networks4, networks6

IPV4 = ipaddress.IPv6Network("::/96")
MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


def told(network: Any) -> bool:
    """Whether maxminddb names it as we do: not where it is all of IPv4, or above that."""
    return network.prefixlen > 96 or not network.overlaps(IPV4)


def tree(path: Path) -> Tree:
    with maxminddb.open_database(path) as reader:
        about = reader.metadata()
        return Tree(np.fromfile(path, np.uint8), about.node_count, about.record_size, about.ip_version)


def prefixes(path: Path, block: int) -> list[str]:
    """All prefixes of a file as text, IPv4 ones mapped."""
    found = [
        ((hi << 64 | lo), part.length)
        for part in tree(path).prefixes(block)
        for hi, lo in zip(part.hi.tolist(), part.lo.tolist(), strict=True)
    ]
    return sorted(str(ipaddress.IPv6Network(each)) for each in found)


def mapped(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> str:
    if network.version == 6:
        return str(network)
    return str(ipaddress.IPv6Network((0xFFFF << 32 | int(network[0]), network.prefixlen + 96)))


@settings(max_examples=150)
@given(st.data(), st.sampled_from([4, 6]), st.sampled_from([24, 28, 32]), st.integers(1, 5))
def test_every_prefix_is_met_once(data: st.DataObject, ip_version: int, record_size: int, block: int) -> None:
    kinds: st.SearchStrategy[Any] = networks4 if ip_version == 4 else networks4 | networks6.filter(told)
    drawn = data.draw(st.lists(kinds, max_size=8, unique=True))
    records = {str(network): asn(i + 1) for i, network in enumerate(drawn)}
    with tempfile.TemporaryDirectory() as directory:
        path = write(Path(directory) / "a.mmdb", records, ip_version=ip_version, record_size=record_size)
        with maxminddb.open_database(path) as reader:
            expected = sorted(mapped(network) for network, _ in reader)
        assert prefixes(path, block) == expected


def child(left: int, right: int) -> bytes:
    return left.to_bytes(3) + right.to_bytes(3)


@pytest.mark.parametrize(
    ("nodes", "met"),
    [
        ([(0, 0)], 0),
        ([(1, 1), (0, 18)], 1),
        ([(1, 2), (2, 18), (1, 18)], 2),
        ([(1, 1), (2, 2), (18, 18)], 2),  # all ways lead to the same records
        ([(1, 1), (1, 1)], 0),
    ],
)
def test_a_node_is_entered_once_whatever_leads_to_it(nodes: list[tuple[int, int]], met: int) -> None:
    data = np.frombuffer(b"".join(child(*each) for each in nodes) + bytes(32), np.uint8)
    found = list(Tree(data, len(nodes), 24, 4).prefixes())
    assert sum(len(part.hi) for part in found) == met


def plain(asns: Path, countries: Path) -> tuple[dict[int, str], dict[int, dict[str, float]]]:
    """Names, and sizes by country, of the networks: by maxminddb's iteration, one prefix after the other."""
    names: dict[int, str] = {}
    sizes: dict[int, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    with maxminddb.open_database(asns) as reader, maxminddb.open_database(countries) as where:
        for network, found in reader:
            record: Any = found
            number = record["autonomous_system_number"]
            names[number] = record["autonomous_system_organization"]
            place: Any = where.get(network[0]) or country("")
            size = 2.0 ** ((32 if network.version == 4 else 48) - network.prefixlen)
            sizes[number][place["country"]["iso_code"]] += size
    return names, sizes


@settings(max_examples=60)
@given(st.data())
def test_networks_are_those_of_all_prefixes(data: st.DataObject) -> None:
    # What is written where IPv4-mapped addresses lie is found under no address.
    kinds = networks4 | networks6.filter(lambda network: told(network) and not network.overlaps(MAPPED))
    drawn: list[Any] = data.draw(st.lists(kinds, min_size=1, max_size=12, unique=True))
    elsewhere: list[Any] = data.draw(st.lists(kinds, max_size=6, unique=True))
    numbers, codes = st.integers(1, 4), st.sampled_from(["DE", "US", "BR"])
    with tempfile.TemporaryDirectory() as directory:
        owners = {str(each): data.draw(numbers) for each in drawn}
        records = {each: asn(number, f"Net {number}") for each, number in owners.items()}
        asns = write(Path(directory) / "asn.mmdb", records)
        where = {str(each): country(data.draw(codes)) for each in (*drawn[::2], *elsewhere)}
        countries = write(Path(directory) / "country.mmdb", where)
        found = list(networks(Places.open([asns, countries])))
        names, sizes = plain(asns, countries)
    assert [(each.asn, each.name) for each in found] == sorted(names.items())
    for each in found:
        known = {code: size for code, size in sizes[each.asn].items() if code}
        assert known.get(each.country, 0.0) == max(known.values(), default=0.0)  # of equals either will do
        assert bool(each.country) == bool(known)


def test_the_country_is_where_most_addresses_lie(tmp_path: Path) -> None:
    records = {
        "192.0.2.0/24": asn(1, "One") | country("DE"),
        "198.51.100.0/23": asn(1, "One") | country("US"),
        "10.0.0.0/8": asn(1, "One"),  # of no country
        "2001:db8::/32": asn(2, "Two") | country("FR"),  # as many networks of 48 bits as a /16 has addresses
        "172.16.0.0/17": asn(2, "Two") | country("BR"),
        "203.0.113.0/24": asn(3, "Drei é"),
        "203.0.112.0/24": country("PT"),
    }
    found = networks(Places.open([write(tmp_path / "a.mmdb", records)]))
    assert list(found) == [Network(1, "One", "US"), Network(2, "Two", "FR"), Network(3, "Drei é", "")]
    assert (found.get(2), found.get(4), found.get(0)) == (Network(2, "Two", "FR"), None, None)
    assert (found.of("US").tolist(), found.of("PT").tolist()) == ([1], [])


def test_more_sums_than_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathering, "_WAITING", 10)
    chance = random.Random(5)
    records = {
        f"10.{i}.0.0/{chance.choice((16, 20, 24))}": asn(chance.randrange(1, 40), "x") for i in range(250)
    }
    where = {each: country(chance.choice(("DE", "US", "BR"))) for each in records}
    asns, countries = write(tmp_path / "asn.mmdb", records), write(tmp_path / "country.mmdb", where)
    names, sizes = plain(asns, countries)
    found = networks(Places.open([countries, asns]))
    assert found.asns.tolist() == sorted(names)
    for each in found:
        assert sizes[each.asn][each.country] == max(sizes[each.asn].values())


def test_only_files_of_networks_name_them(tmp_path: Path) -> None:
    own = write(tmp_path / "own.mmdb", {"192.0.2.0/25": asn(1, "Ours") | country("DE")})
    where = write(tmp_path / "where.mmdb", {"192.0.2.0/24": country("US")})
    bought = write(
        tmp_path / "bought.mmdb", {"192.0.2.0/24": asn(1, "Theirs"), "198.51.100.0/24": asn(2, "Two")}
    )
    found = networks(Places.open([where, own, bought]))
    assert list(found) == [Network(1, "Ours", "US"), Network(2, "Two", "")]
    assert found.source == "own.mmdb, bought.mmdb"
    assert (len(networks(Places.open([where]))), networks(Places.open([])).get(1)) == (0, None)
