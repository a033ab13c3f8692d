"""Which hosts lead anywhere."""

from __future__ import annotations

from typing import cast

import pytest

from halfopen.edge.front import Front
from halfopen.edge.holdings import Holdings
from halfopen.edge.metrics import NOWHERE, Route


class Everywhere:
    """Holdings of which every hostname leads to a tunnel, that of connectors' own management among them."""

    def route(self, hostname: str) -> Route:
        return Route(hostname, "tunnel")


@pytest.mark.parametrize(
    "host",
    [
        b"management.argotunnel.com",
        b"Management.ArgoTunnel.com:443",
        b"management.argotunnel.com.",
        b"management.argotunnel.com.:8080",
        b"[management.argotunnel.com]",
    ],
)
def test_what_connectors_answer_themselves_leads_nowhere(host: bytes) -> None:
    front = Front(cast(Holdings, Everywhere()))
    assert front.route(host) == NOWHERE
    assert front.route(b"app.example.com:443") == Route("app.example.com", "tunnel")
