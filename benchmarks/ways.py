"""Ways from a visitor to one origin: nginx as a reverse proxy, OpenSSH's forwarding, and an edge with a connector.

What stands where visitors come in is alone on the first core, everything else (origin, the connector's side, load) on the second.
"""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from measure import CommandError, Tree, cores
from tests.edge.place import Place

from halfopen.tunnels.vault import RunToken

HERE: Final = Path(__file__).resolve().parent

MIDDLE: Final = (0,)
"""Cores of what is measured."""

REST: Final = (1,)
"""Cores of everything else."""

SMALL: Final = 1 << 10
LARGE: Final = 1 << 20
"""Bytes of two files of the origin; files are named by their size."""


@dataclass(frozen=True, slots=True)
class Way:
    """Where visitors come in, and the processes there."""

    port: int
    middle: Tree


def program(name: str) -> str | None:
    """A program of this machine, None where it is missing."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")


def free_port() -> int:
    """A port on loopback that nobody listens at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


@contextmanager
def running(
    argv: Sequence[str], where: Sequence[int], log: Path, is_up: Callable[[str], bool], patience: float = 30
) -> Iterator[subprocess.Popen[bytes]]:
    """A process on some cores, once it `is_up`, told its log; raises CommandError where it does not come up in time (seconds)."""
    with log.open("wb") as said, cores(where):
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=said, stderr=said)
    try:
        end = time.monotonic() + patience
        while not is_up(log.read_text(errors="replace")):
            if process.poll() is not None or time.monotonic() > end:
                last = log.read_text(errors="replace").strip().splitlines()[-1:]
                raise CommandError(f"{Path(argv[0]).name} does not come up: {' '.join(last)}")
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        process.communicate()


def answers(port: int) -> Callable[[str], bool]:
    """Whether somebody listens at a port."""

    def is_up(_: str) -> bool:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True

    return is_up


@contextmanager
def origin(folder: Path, huge: int) -> Iterator[int]:
    """nginx with the files, a `huge` one among them, which takes uploads below /put/; gives its port."""
    files = folder / "files"
    files.mkdir()
    for size in (SMALL, LARGE, huge):
        with (files / str(size)).open("wb") as file:
            file.truncate(size)
    rules = f"root {files}; location /put/ {{ dav_methods PUT; create_full_put_path on; client_max_body_size 0; }}"
    with _nginx(folder / "origin", REST, rules) as way:
        yield way.port


@contextmanager
def proxied(folder: Path, port: int) -> Iterator[Way]:
    """nginx as a reverse proxy, with connections that it keeps."""
    rules = """
    location / {
      proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_request_buffering off; proxy_max_temp_file_size 0; client_max_body_size 0;
    }"""
    with _nginx(
        folder, MIDDLE, rules, f"upstream origin {{ server 127.0.0.1:{port}; keepalive 512; }}"
    ) as way:
        yield way


@contextmanager
def _nginx(folder: Path, where: Sequence[int], rules: str, beside: str = "") -> Iterator[Way]:
    folder.mkdir()
    found, port = program("nginx"), free_port()
    if found is None:
        raise CommandError("left out, not installed: nginx (Debian: nginx-light)")
    user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = " ".join(f"{kind}_temp_path {folder / kind};" for kind in kinds)
    config = folder / "nginx.conf"
    config.write_text(f"""
daemon off; worker_processes 1; pid {folder / "pid"}; error_log stderr; {user}
events {{ worker_connections 4096; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000000; {paths}
  {beside}
  server {{ listen 127.0.0.1:{port} backlog=1024; {rules} }}
}}
""")
    argv = [found, "-p", str(folder), "-e", "stderr", "-c", str(config)]
    with running(argv, where, folder / "log", answers(port)) as process:
        yield Way(port, Tree(process.pid))


@contextmanager
def forwarded(folder: Path, port: int) -> Iterator[Way]:
    """`ssh -R` from beside the origin to a server of OpenSSH, at which visitors come in: the bytes of TCP, enciphered."""
    folder.mkdir()
    sshd, entry, login = program("sshd"), free_port(), free_port()
    if sshd is None:
        raise CommandError("left out, not installed: sshd (Debian: openssh-server)")
    for name in ("host", "user"):
        make = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(make, check=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # sshd does not start without
    config = folder / "sshd_config"
    config.write_text(f"""
ListenAddress 127.0.0.1:{login}
HostKey {folder / "host"}
AuthorizedKeysFile {folder / "user.pub"}
StrictModes no
UsePAM no
PidFile none
PermitRootLogin prohibit-password
""")
    there = [
        "ssh", "-F", "none", "-N", "-i", str(folder / "user"), "-p", str(login), "-R", f"127.0.0.1:{entry}:127.0.0.1:{port}",
        "-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={folder / 'known'}", "-o", "ExitOnForwardFailure=yes",
        "-o", "BatchMode=yes", f"{getpass.getuser()}@127.0.0.1",
    ]  # fmt: skip
    with (
        running([sshd, "-D", "-e", "-f", str(config)], MIDDLE, folder / "log", answers(login)) as server,
        running(there, REST, folder / "client.log", answers(entry)),
    ):
        yield Way(entry, Tree(server.pid))


@contextmanager
def edge(place: Place) -> Iterator[Way]:
    """An edge of ours."""
    with ExitStack() as opened:
        try:
            with cores(MIDDLE):
                process = opened.enter_context(place.edge())
        except AssertionError as error:
            raise CommandError(f"the edge does not come up: {error}") from None
        yield Way(int(place.visitors.rpartition(":")[2]), Tree(process.pid))


def connector() -> str:
    """What connects to our edge: cloudflared where HALFOPEN_CLOUDFLARED names one, else the project's own."""
    return "stock cloudflared" if os.environ.get("HALFOPEN_CLOUDFLARED") else "the project's own connector"


@contextmanager
def tunnelled(place: Place, protocol: str) -> Iterator[Way]:
    """An edge, and a connector with four connections to it."""
    made, token = place.tunnel(f"bench-{protocol}")
    with edge(place) as way:
        if not (cloudflared := os.environ.get("HALFOPEN_CLOUDFLARED")):
            with connectors(place, protocol, [token]):
                yield way
            return
        edges = [word for _ in range(4) for word in ("--edge", place.connectors)]
        argv = [
            cloudflared, "tunnel", "--no-autoupdate", "--no-prechecks", "--metrics", "127.0.0.1:0", "--loglevel", "warn",
            "--cacert", str(place.data / "edge" / "ca.pem"), *edges, "--protocol", protocol, "run", "--token", str(token),
        ]  # fmt: skip
        with running(argv, REST, place.folder / "connector.log", lambda _: len(place.live(made)) == 4):
            yield way


@contextmanager
def connectors(place: Place, protocol: str, tokens: Sequence[RunToken]) -> Iterator[None]:
    """A process with a connector of the project's own for each token, four connections each, all of them registered."""
    listed = place.folder / f"tokens-{len(tokens)}"
    listed.write_text("\n".join(map(str, tokens)))
    authority = place.data / "edge" / "ca.pem"
    argv = [
        sys.executable,
        str(HERE / "connectors.py"),
        place.connectors,
        str(authority),
        protocol,
        str(listed),
    ]
    with running(argv, REST, listed.with_suffix(".log"), lambda told: "registered" in told, 600):
        yield
