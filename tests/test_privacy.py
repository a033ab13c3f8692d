"""What is kept of clients and of names."""

from __future__ import annotations

import ipaddress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfopen.errors import UsageError
from halfopen.privacy import Address, Name, Privacy, registrable

ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))
KEY = bytes(range(32))


def halves(*addresses: ipaddress.IPv4Address | ipaddress.IPv6Address) -> tuple[np.ndarray, np.ndarray]:
    numbers = [int(a) | (0xFFFF << 32 if a.version == 4 else 0) for a in addresses]
    return np.array([n >> 64 for n in numbers], np.uint64), np.array(
        [n & 2**64 - 1 for n in numbers], np.uint64
    )


@given(st.lists(ADDRESSES, min_size=1, max_size=9), st.integers(0, 32), st.integers(0, 128))
def test_truncated_addresses_are_their_networks(
    addresses: list[ipaddress.IPv4Address | ipaddress.IPv6Address], v4: int, v6: int
) -> None:
    addresses = [a for a in addresses if a.version == 4 or not a.ipv4_mapped]
    kept = Privacy(ipv4_prefix=v4, ipv6_prefix=v6).truncated(*halves(*addresses))
    wanted = halves(
        *(
            ipaddress.ip_network((a, v4 if a.version == 4 else v6), strict=False).network_address
            for a in addresses
        )
    )
    assert [each.tolist() for each in kept] == [each.tolist() for each in wanted]


def test_by_default_a_24_and_a_48() -> None:
    high, low = Privacy().truncated(
        *halves(ipaddress.ip_address("192.0.2.77"), ipaddress.ip_address("2001:db8:1:2:3::4"))
    )
    assert low[0] & np.uint64(0xFFFFFFFF) == int(ipaddress.ip_address("192.0.2.0"))
    assert (int(high[1]), int(low[1])) == (0x20010DB8_00010000, 0)


def test_hashes_tell_clients_apart_and_need_the_key() -> None:
    one, two = (ipaddress.ip_address(f"192.0.2.{n}") for n in (1, 2))
    mine = Privacy(Address.hash, key=KEY)
    hashed = mine.hashed_addresses(*halves(one, two, one))
    assert hashed[0] == hashed[2] != hashed[1]
    assert hashed != Privacy(Address.hash, key=KEY[::-1]).hashed_addresses(*halves(one, two, one))
    with pytest.raises(UsageError, match="key of hashes: 3 bytes cannot be used; accepted: 32 bytes"):
        Privacy(Address.hash, key=b"key")


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("www.example.co.uk", "example.co.uk"),
        ("WWW.Example.com.", "example.com"),
        ("example.com", "example.com"),
        ("co.uk", "co.uk"),
        ("a.b.github.io", "b.github.io"),
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:db8::1]", "[2001:db8::1]"),
        ("localhost", "localhost"),
    ],
)
def test_registrable_domains(name: str, kept: str) -> None:
    assert registrable(name) == kept


def test_what_is_kept_of_names() -> None:
    names = ["www.example.com", None]
    assert Privacy(name=Name.full).names(names) == names
    assert Privacy(name=Name.none).names(names) == [None, None]
    assert Privacy().names(names) == ["example.com", None]
    (hashed, nothing) = Privacy(name=Name.hash, key=KEY).names(names)
    assert len(hashed or "") == 24
    assert nothing is None


@pytest.mark.parametrize("prefixes", [{"ipv4_prefix": 33}, {"ipv6_prefix": -1}])
def test_prefixes_have_bounds(prefixes: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="prefix"):
        Privacy(**prefixes)  # type: ignore[arg-type]
