"""What answers at the ports of server and edge: this installation, another program, or nobody."""

from __future__ import annotations

import errno
import json
import socket
import ssl
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from typing import Any, Final

from halfopen.cli import edge
from halfopen.cli.checks.finding import Examined, Finding, Level
from halfopen.cli.holder import marked

_PATIENCE: Final = 5.0
_ANYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Whom to ask who listens at all addresses."""

Address = tuple[str, int]


def server(examined: Examined) -> Iterator[Finding]:
    """The port of the API."""
    address = examined.serve.host, examined.serve.port
    where = f"http://{_spoken(address)}"
    if (why := _free(address)) is not None:
        yield _nobody("server", where, why, "--port")
        return
    status, body, _ = _asked(address, "/readyz")
    try:
        told: Any = json.loads(body)
    except ValueError:
        told = None
    if not isinstance(told, dict) or told.get("status") not in ("ok", "waiting"):
        yield _another("server", where, "--port")
    elif not marked(examined.data, address[1]):
        yield Finding(
            Level.problem, "server", f"the server of another installation answers at {where}",
            "take another port: --port; or ask about that one: --data, as its user",
        )  # fmt: skip
    elif status == 200:
        yield Finding(Level.ok, "server", f"it answers at {where} and is ready")
    else:
        lacks = ", ".join(told.get("missing", [])) or "something"
        yield Finding(
            Level.problem,
            "server",
            f"it answers at {where} and is not ready: {lacks} is missing",
            "look into its log",
        )


def connectors(examined: Examined) -> Iterator[Finding]:
    """The port at which connectors connect: whoever answers there must be what they trust."""
    address = examined.serve.connectors or edge.CONNECTORS
    if (why := _free(address)) is not None:
        yield _nobody("edge", f"{_spoken(address)} for connectors", why, "--edge-listen")
        return
    from halfopen.edge.trust import AUTHORITY, NAMES

    authority = examined.data / edge.FOLDER / AUTHORITY
    try:
        context = ssl.create_default_context(cafile=str(authority))
        with socket.create_connection(_asked_at(address), _PATIENCE) as plain:
            context.wrap_socket(plain, server_hostname=NAMES[0]).close()
    except ssl.SSLCertVerificationError:
        words = f"who answers at {_spoken(address)} is not trusted by connectors of this installation"
        yield Finding(
            Level.problem,
            "edge",
            words,
            f"another edge, or --data is not the one it runs with; connectors trust {authority}",
        )
    except OSError:
        yield _another("edge", f"{_spoken(address)} for connectors", "--edge-listen")
    else:
        yield Finding(
            Level.ok, "edge", f"connectors find it at {_spoken(address)}, with a certificate that they trust"
        )


def visitors(examined: Examined) -> Iterator[Finding]:
    """The port at which visitors come in."""
    address = examined.serve.visitors or edge.VISITORS
    where = f"http://{_spoken(address)} for visitors"
    if (why := _free(address)) is not None:
        yield _nobody("edge", where, why, "--visitors")
        return
    _, _, headers = _asked(address, "/")
    if "cf-ray" in headers:
        yield Finding(Level.ok, "edge", f"visitors come in at http://{_spoken(address)}")
    else:
        yield _another("edge", where, "--visitors")


def _nobody(about: str, where: str, why: str, option: str) -> Finding:
    if why:
        return Finding(
            Level.problem, about, f"nobody can listen at {where} ({why})", f"another place: {option}"
        )
    return Finding(
        Level.note, about, f"nobody listens at {where}, and the port is free", "`halfopen up` starts it"
    )


def _another(about: str, where: str, option: str) -> Finding:
    return Finding(
        Level.problem, about, f"another program has {where}", f"end that, or take another port: {option}"
    )


def _free(address: Address) -> str | None:
    """None where somebody listens, else why one cannot, or nothing."""
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return None if error.errno == errno.EADDRINUSE else error.strerror or str(error)
    return ""


def _asked(address: Address, path: str) -> tuple[int, bytes, set[str]]:
    """Status, body and names of headers of an answer; nothing of what does not speak HTTP."""
    connection = HTTPConnection(*_asked_at(address), timeout=_PATIENCE)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read(1 << 16), {name.lower() for name in answer.headers}
    except (OSError, HTTPException):
        return 0, b"", set()
    finally:
        connection.close()


def _asked_at(address: Address) -> Address:
    return _ANYWHERE.get(address[0], address[0]), address[1]


def _spoken(address: Address) -> str:
    from halfopen.edge.door import spoken

    return spoken(address)
