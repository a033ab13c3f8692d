"""In namespaces of its own: the commands of the edge's page, one after the other in one shell, beside a resolver that answers as the page says.

Run by `test_page.py`, with a folder; what is wrong is an error.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from halfopen.edge.discovery import REGIONS
from tests.cli.conftest import spawned
from tests.edge.pairs import write
from tests.edge.resolver import resolving
from tests.house.project import DOCS, ROOT

PAGE = DOCS / "edge.md"
HERE = {"https://api.example": "http://127.0.0.1:8787"}
"""What stands for the reader's own."""

SHELL = r"""
set -e
again() { for _ in $(seq 300); do "$@" && return; sleep 0.1; done; "$@"; }
said() { grep -qs -- "$1" "$LOG"; }
connected() { halfopen tunnel info blog | grep -c "$1" | grep -qx "$2"; }
curl() { again reached "$@"; }
reached() { command curl -fsS "$@" | grep hello.txt; }
"""

WAITS = {
    "halfopen serve --edge": "again said 'halfopen: servin[g]'",
    "halfopen edge --colo ams-1": "again said '[c]onnectors: 192.0.2.1:7844'",
    "halfopen edge --data": "again said '[c]onnectors: 192.0.2.2:7844'",
    "halfopen edge --colo www-1": "again said '[h]ttps://192.0.2.3:443'",
    "cloudflared tunnel --cacert": "again connected local 4",
    "SSL_CERT_FILE": "again connected ams-1 2",
}
"""What the reader waits for after a command, by how that begins."""


ELSEWHERE = "cloudflared access", "ssh "
"""What needs a service of SSH: `test_cloudflared.py` has it."""


def commands() -> list[str]:
    """Every command of the page, each with what is waited for."""
    blocks = re.findall(r"^```\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    found: list[str] = re.findall(r"^\$ ((?:.*\\\n)*.*)$", "".join(blocks), re.MULTILINE)
    found = [each for each in found if not each.startswith(ELSEWHERE)]
    waits = [
        "".join(f"\n{then}" for begins, then in WAITS.items() if each.startswith(begins)) for each in found
    ]
    assert sum(map(bool, waits)) == len(WAITS)
    return [each + then for each, then in zip(found, waits, strict=True)]


def place(folder: Path) -> tuple[Path, Path, dict[str, str]]:
    """A home with a file to be served, a log, and the environment in which the programs of pages are these, and their home is that."""
    programs = folder / "bin"
    programs.mkdir()
    cloudflared = os.environ.get("HALFOPEN_CLOUDFLARED") or shutil.which("cloudflared")
    for name, program in {
        "halfopen": f"{sys.executable} -m halfopen",
        "python3": sys.executable,
        "cloudflared": cloudflared or f"{sys.executable} -m tests.edge.stand_in",
    }.items():
        (programs / name).write_text(f'#!/bin/sh\nexec {program} "$@"\n')
        (programs / name).chmod(0o755)
    home, log = folder / "home", folder / "log"
    home.mkdir()
    (home / "hello.txt").touch()
    own = {
        "HOME": str(home), "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "LOG": str(log),
        "NO_AUTOUPDATE": "true", "TUNNEL_METRICS": "127.0.0.1:0", "XDG_DATA_HOME": str(home / ".local" / "share"),
    }  # fmt: skip
    return home, log, os.environ | own


def main(folder: Path) -> None:
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:2 attempts:1\n")
    for command in (
        "ip link set lo up",
        "ip address add 192.0.2.1/32 dev lo",
        "ip address add 192.0.2.2/32 dev lo",
        "ip address add 192.0.2.3/32 dev lo",
        f"mount --bind {folder}/resolv.conf /etc/resolv.conf",
    ):
        subprocess.run(command.split(), check=True)
    home, log, environment = place(folder)
    live = home / "live" / "example.com"
    live.parent.mkdir()
    write(live / "fullchain.pem", live / "privkey.pem", "*.example.com")
    script = "\n".join([SHELL, "set -x", *commands()])
    for theirs, ours in (HERE | {"/etc/letsencrypt/live": str(live.parent)}).items():
        script = script.replace(theirs, ours)
    printed = spawned("edge", "dns", "192.0.2.1")
    with resolving(printed.out.splitlines(), ("127.0.0.1", 53)), log.open("wb") as stream:
        for name in REGIONS:
            assert socket.gethostbyname(name) == "192.0.2.1"
        done = subprocess.run(["bash", "-c", script], cwd=home, env=environment, stdout=stream, stderr=stream)
    assert done.returncode == 0, log.read_text()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
