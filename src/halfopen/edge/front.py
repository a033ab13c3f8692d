"""The front of an edge: for each visitor's request the connection that carries it, or the page that says why there is none."""

from __future__ import annotations

import secrets
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final

from halfopen.api.proxies import Network, outermost, trusts
from halfopen.api.proxies import address as read_address
from halfopen.edge.holdings import Holdings, Link
from halfopen.edge.metrics import NOWHERE, EdgeMetrics, Route
from halfopen.tunnels import names
from halfopen.tunnelwire.headers import Header
from halfopen.tunnelwire.visitor import from_visitor, is_management

_PAGE: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{status} {words}</title>
<style>body{{font:1rem/1.5 system-ui,sans-serif;max-width:40rem;margin:10vh auto;padding:0 1rem}}small{{color:#666}}</style>
<h1>{words}</h1><p>{more}</p><p><small>{status} &middot; id {id}</small></p></html>
"""


@dataclass(frozen=True, slots=True)
class Page:
    """Why there is no answer: a status, what it is called, and what may be done."""

    status: int
    words: str
    more: str

    def written(self, identifier: str) -> tuple[list[Header], bytes]:
        """The page for a request: headers and HTML."""
        html = _PAGE.format(
            status=self.status, words=escape(self.words), more=escape(self.more), id=identifier
        ).encode()
        headers = [
            (b"Content-Type", b"text/html; charset=utf-8"), (b"Content-Length", b"%d" % len(html)), (b"Cache-Control", b"no-store"),
            (b"Content-Security-Policy", b"default-src 'none'; style-src 'unsafe-inline'"),
        ]  # fmt: skip
        return headers, html


BAD: Final = Page(400, "Not a request", "What came cannot be read as HTTP.")
TOO_LONG: Final = Page(431, "Too much in the headers", "The headers of the request are too long.")
NO_PROXY: Final = Page(501, "No connections through here", "CONNECT is asked of proxies, which this is not.")
NO_SITE: Final = Page(
    400, "About no site", "A request for * asks about the server itself, not about a site that it leads to."
)
STALLED: Final = Page(408, "Nothing more came", "The rest of the request was waited for in vain.")
MISDIRECTED: Final = Page(
    421, "Not on this connection", "The certificate of this connection does not speak for the hostname."
)
NO_HOST: Final = Page(400, "Which site?", "The request names no host.")
NO_TUNNEL: Final = Page(
    404,
    "No tunnel for this hostname",
    "Nothing leads to it here. Its operator may look at the tunnel's hostnames.",
)
DOWN: Final = Page(
    503, "The tunnel is down", "No connector of it is connected here just now. Try again in a moment."
)
LOST: Final = Page(
    502, "The tunnel broke off", "The connection to the connector was lost before there was an answer."
)
REFUSED: Final = Page(
    502, "The origin does not answer", "The connector reached no origin, or its answer was none."
)


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a visitor's connection: its address, whether what it says of the visitor is believed, by which
    scheme it came, and over TLS the names of the certificate that it was shown."""

    address: bytes
    trusted: bool
    scheme: bytes
    names: frozenset[str] | None

    def may_ask(self, host: str) -> bool:
        """Whether a host (without its port) may be asked for on this connection."""
        return self.names is None or covered(host.lower().removesuffix("."), self.names)


def covered(host: str, names: Container[str]) -> bool:
    """Whether names of a certificate stand for a host: itself, or a ``*`` in the place of its first label."""
    return host in names or f"*.{host.partition('.')[2]}" in names


@dataclass(frozen=True)
class Front:
    """What visitors' connections go by. Of peers in `trusted` networks what they say of the visitor is believed."""

    holdings: Holdings
    trusted: Sequence[Network] = ()
    metrics: EdgeMetrics = field(default_factory=EdgeMetrics)

    def peer(self, address: str, names: frozenset[str] | None = None) -> Peer:
        """Who comes from an address; over TLS with the names of the certificate that it was shown."""
        return Peer(
            address.encode(),
            trusts(self.trusted, read_address(address)),
            b"http" if names is None else b"https",
            names,
        )

    def headers(self, headers: Sequence[Header], peer: Peer, identifier: str) -> list[Header]:
        """The headers of a request as the connector gets them; WireError where one cannot be."""
        kept = from_visitor(headers, peer.trusted)
        chain = visitor = peer.address
        if peer.trusted:
            before = [value for name, value in kept if name == b"x-forwarded-for"]
            kept = [each for each in kept if each[0] != b"x-forwarded-for"]
            chain = b", ".join([*before, chain])
            told, _ = outermost(b",".join(before).decode("latin-1").split(","), self.trusted)
            visitor = visitor if told is None else str(told).encode()
        if not (peer.trusted and any(name == b"x-forwarded-proto" for name, _ in kept)):
            kept.append((b"x-forwarded-proto", peer.scheme))
        kept += (
            (b"x-forwarded-for", chain),
            (b"cf-connecting-ip", visitor),
            (b"cf-ray", identifier.encode()),
        )
        return kept

    def route(self, host: bytes) -> Route:
        """Where a request for a host leads."""
        if is_management(host):
            return NOWHERE
        try:
            name = names.hostname(bare(host.decode("ascii")))
        except UnicodeDecodeError:
            name = None
        return NOWHERE if name is None else self.holdings.route(name) or NOWHERE

    def carriers(self, route: Route) -> Sequence[Link] | Page:
        """The connections that may carry a request, the least busy first; or why there is none."""
        if route == NOWHERE:
            return NO_TUNNEL
        links = [holding.link for holding in self.holdings.links(route.tunnel)]
        return sorted(links, key=lambda link: link.load) or DOWN

    def identifier(self) -> str:
        """An id for a request, which its visitor, the origin and, where there is no answer, the log are told."""
        return f"{secrets.token_hex(8)}-{self.holdings.colo}"


def bare(host: str) -> str:
    """A host without its port."""
    name, colon, port = host.rpartition(":")
    return name if colon and port.isdigit() else host
