"""`make demo`: in a terminal it ends with a server and a snippet that works when pasted, elsewhere it ends."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.house.project import ROOT

STAGES = ("no_match", "post_syn", "post_ack", "post_psh", "later_in_flow")
SNIPPET = re.compile(r"^(from cloudflare .*?summary_0\)\n)", re.MULTILINE | re.DOTALL)


def demo(data: Path) -> list[str]:
    return [sys.executable, "scripts/demo.py", str(data)]


def agreed(said: str) -> dict[str, str]:
    """The share of each stage, which the command and the API must tell alike."""
    rows = {stage: re.search(rf"^{stage} +([0-9.]+) % +([0-9.]+) %$", said, re.MULTILINE) for stage in STAGES}
    found = {stage: row.groups() for stage, row in rows.items() if row}
    assert set(found) == set(STAGES), said
    assert all(classified == answered for classified, answered in found.values()), said
    return {stage: share for stage, (share, _) in found.items()}


def pasted(snippet: str) -> subprocess.CompletedProcess[str]:
    """Python with the snippet on its standard input."""
    return subprocess.run(
        [sys.executable, "-"], input=snippet, capture_output=True, text=True, timeout=120, check=False
    )


def test_without_a_terminal_it_asks_once_and_ends(tmp_path: Path) -> None:
    done = subprocess.run(
        demo(tmp_path / "data"), cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert agreed(done.stdout)["no_match"] == "62.56"
    (snippet,) = SNIPPET.findall(done.stdout)
    assert "APIConnectionError" in pasted(snippet.replace("api_token=", "max_retries=0, api_token=")).stderr


def test_in_a_terminal_it_serves_until_ctrl_c(tmp_path: Path) -> None:
    screen, terminal = pty.openpty()
    process = subprocess.Popen(demo(tmp_path / "data"), cwd=ROOT, stdout=terminal, stderr=terminal)
    os.close(terminal)
    try:
        said = read_until(screen, b"Serving until Ctrl-C").replace("\r\n", "\n")
        shares = agreed(said)
        (snippet,) = SNIPPET.findall(said)
        answer = pasted(snippet)
        assert answer.returncode == 0, answer.stderr
        assert answer.stdout in (ROOT / "README.md").read_text()
        told = dict(re.findall(r"(\w+)='([0-9.]+)'", answer.stdout))
        assert {stage: f"{float(share):.2f}" for stage, share in told.items()} == shares
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert pasted(snippet.replace("api_token=", "max_retries=0, api_token=")).returncode != 0
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(60)
        os.close(screen)


def read_until(screen: int, words: bytes) -> str:
    """What appears on a terminal up to some words."""
    said, until = b"", time.monotonic() + 300
    while words not in said:
        assert time.monotonic() < until, said
        said += os.read(screen, 4096)
    return said.decode()


def test_the_demo_of_tunnels_comes_true() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "HALFOPEN_CLOUDFLARED"}
    done = subprocess.run(
        [sys.executable, "scripts/demo_tunnel.py"],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "All of it came true" in done.stdout
    assert done.stdout.count("Hello from the origin: app.example.com/about") == 2
