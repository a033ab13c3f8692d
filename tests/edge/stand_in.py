"""In the place of cloudflared where there is none: those of its commands that the page of the edge names, with our own connector."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
from argparse import ArgumentParser, Namespace
from base64 import b64decode
from pathlib import Path

import httpx

from halfopen.edge.discovery import REGIONS
from halfopen.testing.connectors.connector import Connector
from halfopen.testing.forwarding import forward, stay
from halfopen.tunnels.vault import RunToken


def arguments() -> Namespace:
    parser = ArgumentParser(prog="cloudflared", allow_abbrev=False)
    tunnel = parser.add_subparsers(required=True).add_parser("tunnel", allow_abbrev=False)
    for option in ("--cacert", "--protocol", "--url", "--api-url", "--origincert"):
        tunnel.add_argument(option)
    tunnel.add_argument("--edge", action="append")
    verbs = tunnel.add_subparsers(required=True)
    run = verbs.add_parser("run", allow_abbrev=False)
    run.add_argument("--token", default=os.environ.get("TUNNEL_TOKEN"))
    run.set_defaults(do=connect)
    route = verbs.add_parser("route")
    route.add_argument("kind", choices=["dns"])
    route.add_argument("tunnel")
    route.add_argument("hostname")
    route.set_defaults(do=claim)
    return parser.parse_args()


def connect(args: Namespace) -> None:
    if args.edge:
        host, _, port = args.edge[0].rpartition(":")
    else:
        host, port = socket.gethostbyname(REGIONS[0]), 7844
    authority = Path(args.cacert or os.environ["SSL_CERT_FILE"]).read_text()
    origin = forward(args.url or "http://127.0.0.1:1")
    token = RunToken.parse(args.token)
    assert token is not None, args.token
    connector = Connector(token, origin, host, int(port), authority, args.protocol or "quic", bool(args.url))
    asyncio.run(stay(connector, asyncio.Event(), len(args.edge or REGIONS)))


def claim(args: Namespace) -> None:
    text = re.sub(r"-----.*?-----", "", Path(args.origincert).read_text())
    known = json.loads(b64decode(text))
    headers = {"Authorization": f"Bearer {known['apiToken']}"}
    with httpx.Client(headers=headers, trust_env=False) as client:
        tunnels = f"{args.api_url}/accounts/{known['accountID']}/cfd_tunnel"
        (tunnel,) = client.get(tunnels, params={"name": args.tunnel}).json()["result"]
        wish = {"type": "dns", "user_hostname": args.hostname, "overwrite_existing": False}
        routes = f"{args.api_url}/zones/{known['zoneID']}/tunnels/{tunnel['id']}/routes"
        client.put(routes, json=wish).raise_for_status()


if __name__ == "__main__":
    asked = arguments()
    asked.do(asked)
