"""The demo: how the connections of the example capture died, the same from the API of a dataset of them, then all of it to look at.

`make demo` runs it. In a terminal it ends in `halfopen up --demo`, until Ctrl-C; elsewhere once the API has answered.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from urllib.error import URLError
from urllib.request import Request, urlopen

import halfopen
from halfopen.cli.main import main as command

CAPTURE: Final = "captures/demo.pcap.gz"
PLACES: Final = ("--places", "captures/places")
PORTS: Final = {"--port": 8787, "--edge-listen": 7844, "--visitors": 8080}
"""Where `halfopen up` listens without more."""

PATH: Final = "/client/v4/radar/tcp_resets_timeouts/summary"
SNIPPET: Final = """\
from cloudflare import Cloudflare

client = Cloudflare(base_url="{base}/client/v4", api_token="{token}")
print(client.radar.tcp_resets_timeouts.summary().summary_0)
"""
PATIENCE: Final = 60
"""Seconds in which the server must be ready."""


def main() -> None:
    """Run the demo."""
    print(
        "\nA minute of visits to two servers, captured there. On the way some are cut off: whose, when and how?\n"
    )
    run("classify", CAPTURE, *PLACES)
    table = halfopen.classify(CAPTURE)
    print(f"""
The hosts are real network stacks in a test bed; their networks are invented (documentation addresses).
Try next:
  {here("halfopen")} explain {CAPTURE} {a_cut_client(table)}
  {here("halfopen")} classify {CAPTURE} {" ".join(PLACES)} --format ndjson | head
  {here("halfopen")} signatures
  {here("halfopen")} classify YOUR.pcap

The same as a dataset with an API, moved to the last hour:
""")
    with TemporaryDirectory() as folder:
        answer_for(table, Path(folder) / "data")
    up = ["up", "--demo", *(word for option, port in PORTS.items() for word in elsewhere(option, port))]
    if sys.stdout.isatty():
        print(f"All of it to look at:\n\n$ halfopen {' '.join(up)}", flush=True)
        os.execv(sys.executable, [sys.executable, "-m", "halfopen", *up])
    print(f"No terminal, so it ends here. To look at all of it: {here('halfopen')} {' '.join(up)}")


def answer_for(table: Any, data: Path) -> None:
    """Ask the API for what `classify` said."""
    run("ingest", CAPTURE, *PLACES, "--shift-end", "now", "--data", str(data))
    token = printed("token", "create", "--permission", "radar:read", "--data", str(data))
    port = free_port(PORTS["--port"])
    serve = ("serve", *PLACES, "--data", str(data), "--port", str(port))
    print(f"$ halfopen {' '.join(serve)} &", flush=True)
    with serving(serve, port, data / "serve.log") as base:
        snippet = SNIPPET.format(base=base, token=token)
        print(f"\nWith the official Python SDK (pip install cloudflare):\n\n{snippet}")
        if find_spec("cloudflare"):
            print("which prints:", flush=True)
            subprocess.run([sys.executable, "-c", snippet], check=True)
            print()
        print_beside(shares(table), answer(base, token))


def elsewhere(option: str, port: int) -> tuple[str, ...]:
    """The option of `halfopen up` for a port that is free, none where the usual one is."""
    free = free_port(port)
    place = str(free) if option == "--port" else f"127.0.0.1:{free}"
    return () if free == port else (option, place)


def here(program: str) -> str:
    """A program of this environment, as one types it in this directory."""
    return os.path.relpath(Path(sys.executable).parent / program)


def run(*argv: str) -> None:
    """Show a command and run it; where it fails, it has said why."""
    print(f"$ halfopen {' '.join(argv)}", flush=True)
    if code := command(argv):
        sys.exit(code)


def printed(*argv: str) -> str:
    """What a command prints, without its words beside that."""
    with redirect_stdout(StringIO()) as said, redirect_stderr(StringIO()) as beside:
        code = command(argv)
    if code:
        sys.exit(beside.getvalue())
    return said.getvalue().strip()


def a_cut_client(table: Any) -> str:
    """Address and port of a client whose connection was cut by several resets."""
    known = table.select(["client", "client_port", "signature"]).to_pylist()
    row = next(row for row in known if row["signature"] == "psh_rstacks")
    return f"{row['client']}:{row['client_port']}"


def shares(table: Any) -> dict[str, float]:
    """The share of each stage, in percent."""
    stages = Counter(table["stage"].to_pylist())
    return {stage: 100 * count / table.num_rows for stage, count in stages.items()}


def free_port(usual: int) -> int:
    """The usual port, or one that is free where that is taken."""
    for port in (usual, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    sys.exit("no port is free")


@contextmanager
def serving(argv: tuple[str, ...], port: int, log: Path) -> Iterator[str]:
    """A server in a process of its own, from when it is ready until the end; gives its URL."""
    base = f"http://127.0.0.1:{port}"
    with log.open("wb") as stream:
        server = subprocess.Popen([sys.executable, "-m", "halfopen", *argv], stdout=stream, stderr=stream)
    try:
        until = time.monotonic() + PATIENCE
        while not ready(base):
            if server.poll() is not None or time.monotonic() > until:
                sys.exit(f"the server did not come up:\n{log.read_text()}")
            time.sleep(0.1)
        yield base
    finally:
        server.terminate()
        server.wait()


def ready(base: str) -> bool:
    """Whether a server says that it is."""
    try:
        with urlopen(f"{base}/readyz", timeout=5):
            return True
    except (URLError, OSError):
        return False


def answer(base: str, token: str) -> dict[str, float]:
    """The share of each stage as the API gives it, in percent: what the SDK asks, in plain Python."""
    request = Request(f"{base}{PATH}", headers={"Authorization": f"Bearer {token}"})
    with urlopen(request, timeout=PATIENCE) as response:
        found = json.load(response)["result"]["summary_0"]
    return {stage: float(share) for stage, share in found.items()}


def print_beside(classified: dict[str, float], answered: dict[str, float]) -> None:
    """The shares that `classify` printed and those that the API answers."""
    print(f"GET {PATH}\n")
    print(f"{'Stage':14} {'classify':>10} {'the API':>10}")
    for stage, share in answered.items():
        print(f"{stage:14} {classified.get(stage, 0):8.2f} % {share:8.2f} %")
    print()


if __name__ == "__main__":
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.default_int_handler)  # else the server would be left behind
    main()
