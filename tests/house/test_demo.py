"""`make demo`: what it says is the same everywhere; in a terminal it goes on with all of Halfopen to look at, elsewhere it ends."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time

import httpx

from tests.house.project import ROOT
from tests.server.test_upkeep import until

STAGES = ("no_match", "post_syn", "post_ack", "post_psh", "later_in_flow")
DEMO = [sys.executable, "scripts/demo.py"]


def agreed(said: str) -> dict[str, str]:
    """The share of each stage, which the command and the API must tell alike."""
    rows = {stage: re.search(rf"^{stage} +([0-9.]+) % +([0-9.]+) %$", said, re.MULTILINE) for stage in STAGES}
    found = {stage: row.groups() for stage, row in rows.items() if row}
    assert set(found) == set(STAGES), said
    assert all(classified == answered for classified, answered in found.values()), said
    return {stage: share for stage, (share, _) in found.items()}


def test_without_a_terminal_it_asks_once_and_ends() -> None:
    done = subprocess.run(DEMO, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    shares = agreed(done.stdout)
    assert shares["no_match"] == "62.56"
    (answer,) = re.findall(r"^(Summary0\(.*\)\n)", done.stdout, re.MULTILINE)
    assert answer in (ROOT / "README.md").read_text()
    told = dict(re.findall(r"(\w+)='([0-9.]+)'", answer))
    assert {stage: f"{float(share):.2f}" for stage, share in told.items()} == shares


def test_in_a_terminal_it_goes_on_with_a_page_and_a_tunnel_until_ctrl_c() -> None:
    screen, terminal = pty.openpty()
    process = subprocess.Popen(DEMO, cwd=ROOT, stdout=terminal, stderr=terminal)
    os.close(terminal)
    try:
        said = read_until(screen, b"Ctrl-C ends all of it.").replace("\r\n", "\n")
        agreed(said)
        dashboard = re.search(r"Dashboard\W+(?:\x1b\[1m)?(http://[^/]+/)", said)
        visitors = re.search(r"curl -H 'Host: demo.example' (http://\S+/)", said)
        assert dashboard is not None
        assert visitors is not None
        page = httpx.get(dashboard[1], headers={"Accept": "text/html"}, follow_redirects=True, timeout=60)
        assert "Sign in" in page.text
        headers = {"Host": "demo.example"}
        assert until(lambda: "Hello from" in httpx.get(visitors[1], headers=headers, timeout=60).text, 60)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
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
        try:
            said += os.read(screen, 4096)
        except OSError:  # nobody writes to it any more
            raise AssertionError(said.decode()) from None
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
