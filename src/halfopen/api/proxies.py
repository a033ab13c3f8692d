"""Behind a reverse proxy: who the client is and by which address it found the server, as a trusted proxy tells it.

A header is worth as much as who sent it: it is looked at only where the connection comes from a trusted network, and then
from its end, because every proxy adds what it saw there, up to the first address that is no trusted proxy's. A proxy that
knows only one of ``X-Forwarded-For`` and ``Forwarded`` (RFC 7239) hands on the other as a client made it up; so where both
stand there they must agree, or neither is believed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, TypeAlias

from starlette.types import ASGIApp, Receive, Scope, Send

Network: TypeAlias = IPv4Network | IPv6Network
Address: TypeAlias = IPv4Address | IPv6Address

_PAIR: Final = re.compile(
    r"""\s*([!#$%&'*+.^_`|~\w-]+)=("(?:[^"\\]|\\.)*"|[^\s";,]*)\s*([;,]|\Z)""", re.ASCII
)
_WITH_PORT: Final = re.compile(r"\[([^\]]*)\](?::\w+)?|([0-9.]+):\w+", re.ASCII)


@dataclass(frozen=True)
class Told:
    """What a proxy tells; None where it tells nothing that can be used."""

    client: Address | None
    scheme: str | None
    host: str | None


class TrustedProxies:
    """ASGI middleware: a request that comes by a trusted proxy has the client, scheme and host that the proxy saw."""

    def __init__(self, app: ASGIApp, trusted: Sequence[Network]) -> None:
        self._app, self._trusted = app, trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on."""
        if (
            scope["type"] == "http"
            and (peer := scope.get("client"))
            and trusts(self._trusted, address(peer[0]))
        ):
            scope = _as_told(scope, self.told(scope["headers"]))
        await self._app(scope, receive, send)

    def told(self, headers: Iterable[tuple[bytes, bytes]]) -> Told | None:
        """What the headers of a trusted proxy tell, if it can be believed."""
        found: dict[str, str] = {}
        for raw, value in headers:
            name, text = raw.decode("latin-1").lower(), value.decode("latin-1")
            found[name] = f"{found[name]}, {text}" if name in found else text
        listed, standard = self._listed(found), self._standard(found)
        if listed and standard and listed.client != standard.client:
            return None
        return listed or standard

    def _listed(self, headers: Mapping[str, str]) -> Told | None:
        names = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host")
        if not any(name in headers for name in names):
            return None
        hops, schemes, hosts = (headers.get(name, "").split(",") for name in names)
        client, _ = outermost(hops, self._trusted)
        return Told(client, schemes[0].strip().lower() or None, hosts[0].strip() or None)

    def _standard(self, headers: Mapping[str, str]) -> Told | None:
        if "forwarded" not in headers:
            return None
        hops = elements(headers["forwarded"])
        client, index = outermost([hop.get("for", "") for hop in hops], self._trusted)
        hop = hops[index] if client else {}
        return Told(client, hop.get("proto", "").lower() or None, hop.get("host"))


def outermost(hops: Sequence[str], trusted: Sequence[Network]) -> tuple[Address | None, int]:
    """The first address from the end that is no trusted proxy's, and which of the hops it is."""
    client, index = None, len(hops)
    for text in reversed(hops):
        if (seen := address(text)) is None:
            break
        client, index = seen, index - 1
        if not trusts(trusted, seen):
            break
    return client, index


def trusts(trusted: Sequence[Network], one: Address | None) -> bool:
    """Whether an address is a trusted proxy's."""
    return one is not None and any(one in network for network in trusted)


def address(text: str) -> Address | None:
    """An address as proxies write it: with a port or without; IPv4 in IPv6 is IPv4. None where it is none."""
    text = text.strip()
    if found := _WITH_PORT.fullmatch(text):
        text = found[1] or found[2] or ""
    try:
        parsed = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (parsed.ipv4_mapped or parsed) if isinstance(parsed, IPv6Address) else parsed


def elements(text: str) -> list[dict[str, str]]:
    """The elements of ``Forwarded``, by names in lower case; none where it is malformed."""
    found: list[dict[str, str]] = [{}]
    at, after = 0, ","
    while after:
        pair = _PAIR.match(text, at)
        if pair is None:
            return []
        value = pair[2]
        found[-1][pair[1].lower()] = re.sub(r"\\(.)", r"\1", value[1:-1]) if value[:1] == '"' else value
        at, after = pair.end(), pair[3]
        if after == ",":
            found.append({})
    return found


def _as_told(scope: Scope, told: Told | None) -> Scope:
    if told is None:
        return scope
    changed = dict(scope)
    if told.client is not None:
        changed["client"] = (str(told.client), 0)
    if told.scheme in ("http", "https"):
        changed["scheme"] = told.scheme
    if told.host is not None:
        others = [(name, value) for name, value in scope["headers"] if name != b"host"]
        changed["headers"] = [*others, (b"host", told.host.encode("latin-1"))]
    return changed
