"""The sample tunnel does not begin with an error: nobody visits it before a connection is registered."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from halfopen.edge.trust import Trust


def test_nobody_visits_before_a_connection_is_registered(tmp_path: Path) -> None:
    Trust(tmp_path / "edge").authority()
    with ExitStack() as stack:
        edge = stack.enter_context(socket.socket(type=socket.SOCK_DGRAM))
        edge.bind(("127.0.0.1", 0))
        edge.settimeout(60)
        visitors = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        visitors.setblocking(False)
        connectors, url = (
            f"127.0.0.1:{edge.getsockname()[1]}",
            f"http://127.0.0.1:{visitors.getsockname()[1]}",
        )
        argv = [
            sys.executable,
            "-m",
            "halfopen.testing.sample_tunnel",
            str(tmp_path),
            "demo.example",
            connectors,
            url,
        ]
        process = stack.enter_context(subprocess.Popen(argv))
        stack.callback(process.send_signal, signal.SIGKILL)
        for _ in range(12):  # of four connections that begin and get no answer, some of them once more
            assert edge.recv(2048)
        try:
            visitors.accept()[0].close()
        except BlockingIOError:
            return
        raise AssertionError("somebody visited")
