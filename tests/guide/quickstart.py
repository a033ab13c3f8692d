"""In namespaces of its own: the commands of the quickstart, one after the other. Run by `test_quickstart.py`, with a folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.cli.conftest import capture_bytes
from tests.edge.page import place
from tests.guide.commands import script
from tests.house.project import DOCS

PAGE = DOCS / "quickstart.md"

LEFT_OUT = {
    "git clone": "there is a clone",
    "make .venv/.runtime": "it takes a minute and a registry; every run of CI begins with it",
    "export PATH": "the programs of this test are found by its own",
    "halfopen up": "runs until it is told to end; it is begun and waited for here, and --demo has tests of its own",
    "timeout 60 tcpdump": "it takes a minute, root and a network; a capture is made here",
}

AFTER = {
    "python3 -m http.server": "again command curl -fsS http://127.0.0.1:3000/ >/dev/null",
    "cloudflared tunnel --cacert": "again connected 4",
}

SHELL = r"""
set -e
again() { for _ in $(seq 300); do "$@" && return; sleep 0.1; done; "$@"; }
connected() { halfopen tunnel info blog | grep -c local | grep -qx "$1"; }
curl() { again reached "$@"; }
reached() { command curl -fsS "$@" | grep hello.txt; }
all() { STARTED & started=$!; again command curl -fsS http://127.0.0.1:8787/readyz; }
set -x
all
"""


def main(folder: Path, started: str) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    home, log, environment = place(folder)
    (home / "capture.pcap").write_bytes(capture_bytes(0))
    whole = (
        SHELL.replace("STARTED", started) + script(PAGE, LEFT_OUT, AFTER) + "\nkill $started; wait $started"
    )
    with log.open("wb") as stream:
        done = subprocess.run(["bash", "-c", whole], cwd=home, env=environment, stdout=stream, stderr=stream)
    assert done.returncode == 0, log.read_text()
    print(log.read_text())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
