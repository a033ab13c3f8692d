"""The page of operations works as it stands there: a server is set up, backed up while it runs, restored, upgraded.

What takes root or systemd stands in the way as small programs: `systemctl` begins and ends a real server.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.cli.conftest import capture_bytes
from tests.conftest import Require
from tests.edge.test_lifecycle import free_port
from tests.guide.commands import script
from tests.house.project import DOCS, ROOT

PAGE: Final = DOCS / "operations.md"

LEFT_OUT: Final = {
    "python3 -m venv": "it takes a minute; the environment of the tests is there",
    "/opt/halfopen/bin/pip": "it takes a minute and a registry",
    "cp packaging/systemd": "there is no systemd here; what the unit says is tested beside the other one",
    "journalctl": "there is no systemd here",
    "useradd": "it takes root, and would stay",
    "chown": "it takes root; all files are those of who runs the tests",
}

AFTER: Final = {
    "halfopen tunnel create blog": "halfopen ingest capture.pcap; halfopen tunnel token blog > token-before",
    "cp -a $DATA.key": "halfopen tunnel create later",
    "halfopen store info": "halfopen tunnel token blog | cmp - token-before; halfopen store info | grep '^connections: 6 rows'",
    "halfopen tunnel list": 'test "$(halfopen tunnel list | grep -c later)" = 0',
}
"""What is made to be backed up, what comes too late for that, and what must be as it was."""

STAND_IN: Final = {
    "sudo": 'shift 2; exec "$@"',
    "systemctl": r"""
start() {
    (XDG_DATA_HOME=$LIB/halfopen-server exec "$PYTHON" -m halfopen serve --edge --port $PORT --edge-listen 127.0.0.1:$CONNECTORS \
        --visitors 127.0.0.1:$VISITORS >>log 2>&1 & echo $! >pid)
    for _ in $(seq 600); do curl -fs http://127.0.0.1:$PORT/readyz >/dev/null && return; sleep 0.1; done; exit 1
}
stop() { kill $(cat pid); while kill -0 $(cat pid) 2>/dev/null; do sleep 0.1; done; rm pid; }
case "$*" in
    daemon-reload) ;;
    "enable --now halfopen-serve" | "start halfopen-serve") start ;;
    "stop halfopen-serve") stop ;;
    "restart halfopen-serve") stop; start ;;
    *) exit 1 ;;
esac
""",
}


@pytest.mark.usefixtures("compiled")
def test_every_command_of_the_page_runs(tmp_path: Path, require: Require) -> None:
    for program in ("bash", "curl", "flock", "sqlite3", "tar"):
        require(shutil.which(program) is not None, program)
    port, connectors, visitors = (str(free_port()) for _ in range(3))
    programs, opt, lib = tmp_path / "programs", tmp_path / "opt" / "bin", tmp_path / "lib"
    for folder in (programs, opt, lib / "halfopen-server"):
        folder.mkdir(parents=True)
    for path, text in {
        opt / "halfopen": f'exec "{sys.executable}" -m halfopen "$@"',
        **{programs / name: text for name, text in STAND_IN.items()},
    }.items():
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)
    (tmp_path / "capture.pcap").write_bytes(capture_bytes(0))
    commands = script(PAGE, LEFT_OUT, AFTER)
    for theirs, ours in {
        "/var/lib": str(lib), "/var/backups": str(tmp_path / "backups"), "/var/cache": str(tmp_path / "cache"),
        "/opt/halfopen": str(tmp_path / "opt"), "127.0.0.1:8787": f"127.0.0.1:{port}",
    }.items():  # fmt: skip
        commands = commands.replace(theirs, ours)
    own = {
        "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}", "PYTHON": sys.executable, "LIB": str(lib),
        "PORT": port, "CONNECTORS": connectors, "VISITORS": visitors, "DATA": str(lib / "halfopen-server" / "halfopen"),
    }  # fmt: skip
    try:
        done = subprocess.run(
            ["bash", "-euxo", "pipefail", "-c", commands],
            cwd=tmp_path, env=os.environ | own, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    finally:
        if (tmp_path / "pid").exists():
            os.kill(int((tmp_path / "pid").read_text()), 15)
    kept = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "backups").rglob("*")}
    assert {"accounts.sqlite", "rest.tar", "halfopen.key", "store"} <= set(kept)
    assert (kept["halfopen.key"], kept["accounts.sqlite"]) == (0o600, 0o600)
