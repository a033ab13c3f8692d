"""Behind reverse proxies: nobody but a trusted one says who the client is."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from pathlib import Path

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette

from halfopen.api.application import application
from halfopen.api.identity import identity_routes
from halfopen.api.limits import Limits, Rate
from halfopen.api.proxies import Told, TrustedProxies, address, elements
from tests.databases.database import Database

TRUSTED = [ip_network("10.0.0.0/8"), ip_network("2001:db8:1::/48")]
SEEN = "203.0.113.9"
"""Whom the trusted proxy saw."""

VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=40)


def told(**headers: str) -> Told | None:
    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
    return TrustedProxies(Starlette(), TRUSTED).told(raw)


def client(**headers: str) -> str | None:
    found = told(**headers)
    return str(found.client) if found and found.client else None


@pytest.mark.parametrize(
    ("listed", "seen"),
    [
        ("203.0.113.9", SEEN),
        ("198.51.100.1, 203.0.113.9", SEEN),  # what the client made up stands in front
        ("198.51.100.1,203.0.113.9 , 10.1.2.3,10.0.0.1", SEEN),
        ("10.0.0.2, 10.0.0.1", "10.0.0.2"),  # from within
        ("203.0.113.9:4711", SEEN),
        ("::ffff:203.0.113.9", SEEN),
        ("2001:db8::9, 2001:db8:1::1", "2001:db8::9"),
        ("[2001:db8::9]:443", "2001:db8::9"),
        ("[2001:db8::9]", "2001:db8::9"),
        ("203.0.113.9, unknown", None),
        ("203.0.113.9, unknown, 10.0.0.1", "10.0.0.1"),
        ("203.0.113.9,", None),
        ("", None),
    ],
)
def test_the_client_is_the_last_who_is_no_proxy(listed: str, seen: str | None) -> None:
    assert client(x_forwarded_for=listed) == seen


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("for=203.0.113.9", Told(ip_address(SEEN), None, None)),
        ('For="[2001:db8::9]:4711";proto=HTTPS', Told(ip_address("2001:db8::9"), "https", None)),
        (
            'for=198.51.100.1;host=made.up, for=203.0.113.9;host="a.example:8443";proto=https, for=10.0.0.1;proto=http',
            Told(ip_address(SEEN), "https", "a.example:8443"),
        ),
        ("for=_hidden;proto=https", Told(None, None, None)),
        ("for=203.0.113.9, for=unknown", Told(None, None, None)),
        ('for="203.0.113.9', Told(None, None, None)),
        ("203.0.113.9", Told(None, None, None)),
    ],
)
def test_the_standard_header_tells_the_same(text: str, found: Told) -> None:
    assert told(forwarded=text) == found


def test_a_list_in_several_lines_is_one_list() -> None:
    lines = [(b"x-forwarded-for", b"198.51.100.1"), (b"X-Forwarded-For", SEEN.encode())]
    found = TrustedProxies(Starlette(), TRUSTED).told(lines)
    assert found == Told(ip_address(SEEN), None, None)


def test_scheme_and_host() -> None:
    found = told(x_forwarded_for=SEEN, x_forwarded_proto="HTTPS", x_forwarded_host="a.example, b.example")
    assert found == Told(ip_address(SEEN), "https", "a.example")
    assert told(x_forwarded_proto="https") == Told(None, "https", None)
    assert told(accept="*/*") is None


@given(VALUES)
def test_what_a_client_makes_up_is_never_believed(made_up: str) -> None:
    assert client(x_forwarded_for=f"{made_up}, {SEEN}") == SEEN
    assert client(x_forwarded_for=f"{made_up},{SEEN}, 10.0.0.1") == SEEN
    assert client(forwarded=f"{made_up}, for={SEEN}") in (SEEN, None)
    # The proxy knows only one of the two.
    assert client(x_forwarded_for=f"{made_up}, {SEEN}", forwarded=made_up) in (SEEN, None)
    assert client(x_forwarded_for=made_up, forwarded=f"for={SEEN}") in (SEEN, None)


def test_two_headers_that_agree_are_believed() -> None:
    assert client(x_forwarded_for=SEEN, forwarded=f"for={SEEN}") == SEEN
    assert client(x_forwarded_for=SEEN, forwarded="for=198.51.100.1") is None


NAMES = st.from_regex(r"[a-z]{1,5}", fullmatch=True)


@given(st.lists(st.dictionaries(NAMES, VALUES, min_size=1, max_size=3), min_size=1, max_size=4))
def test_elements_come_out_as_they_were(written: list[dict[str, str]]) -> None:
    def quoted(value: str) -> str:
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    text = ", ".join(";".join(f"{name}={quoted(value)}" for name, value in each.items()) for each in written)
    assert elements(text) == written


@given(st.ip_addresses(), st.integers(0, 65535))
def test_an_address_comes_out_with_a_port_or_without(one: IPv4Address | IPv6Address, port: int) -> None:
    with_port = f"[{one}]:{port}" if isinstance(one, IPv6Address) else f"{one}:{port}"
    plain = (one.ipv4_mapped or one) if isinstance(one, IPv6Address) else one
    assert address(f" {one}") == address(with_port) == plain


@given(st.text())
def test_anything_is_an_address_or_none(text: str) -> None:
    assert address(text) is None or re.fullmatch(r"[0-9a-fA-F.:\[\]%\w\s]*", text)


def test_rates_are_those_of_the_client(tmp_path: Path) -> None:
    with Database(tmp_path).accounts() as accounts:
        limits = Limits(address=Rate(1, 3600))
        app = application(identity_routes(accounts), accounts, limits, proxies=TRUSTED)

        async def statuses(peer: str, clients: list[str]) -> list[int]:
            transport = httpx.ASGITransport(app, client=(peer, 40000))
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as http:
                asked = [
                    await http.get("/client/v4/accounts", headers={"x-forwarded-for": each})
                    for each in clients
                ]
            return [each.status_code for each in asked]

        clients = ["192.0.2.1", "192.0.2.2", "192.0.2.1"]
        assert anyio.run(statuses, "10.0.0.1", clients) == [400, 400, 429]
        assert anyio.run(statuses, "198.51.100.7", ["192.0.2.3", "192.0.2.4"]) == [400, 429]
        assert anyio.run(statuses, "::ffff:10.0.0.1", ["192.0.2.2", "192.0.2.5"]) == [429, 400]
