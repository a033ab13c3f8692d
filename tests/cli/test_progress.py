"""The progress bar: on a terminal and for long work only."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

from tests.cli.conftest import capture_bytes, command

_PATIENCE = 300.0  # kernels may have to be compiled first, on a busy machine


def on_a_terminal(line: list[str], pieces: list[tuple[bytes, str]]) -> str:
    """Run with standard error on a terminal; each piece of input waits until its text is shown."""
    leader, follower = pty.openpty()
    with subprocess.Popen(
        line, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=follower,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
    ) as process:  # fmt: skip
        os.close(follower)
        assert process.stdin is not None
        shown = b""
        try:
            for piece, awaited in pieces:
                shown += until(leader, awaited.encode(), shown)
                process.stdin.write(piece)
                process.stdin.flush()
            process.stdin.close()
            shown += until(leader, None, b"")
            assert process.wait(_PATIENCE) == 0
        finally:
            process.kill()  # or it would wait for the rest of its input
    os.close(leader)
    return shown.decode()


def until(leader: int, awaited: bytes | None, before: bytes) -> bytes:
    """What the terminal shows until `awaited` is among it, or until the other side is closed."""
    shown = b""
    end = time.monotonic() + _PATIENCE
    while awaited is None or awaited not in before + shown:
        ready, _, _ = select.select([leader], [], [], max(end - time.monotonic(), 0))
        assert ready, f"not shown: {awaited!r} among {before + shown!r}"
        try:
            data = os.read(leader, 4096)
        except OSError:  # the other side of a terminal is closed
            break
        if not data:
            break
        shown += data
    return shown


def test_long_work_shows_how_far_it_is() -> None:
    capture = capture_bytes(0)
    # The second half waits for the bar: long work without a clock.
    shown = on_a_terminal(
        command("classify", "-", "--format", "ndjson"), [(capture[:500], ""), (capture[500:], "bytes")]
    )
    assert "\x1b[2K" in shown  # the bar is wiped at the end
    assert "connections" in shown.rsplit("\x1b[2K", 1)[1]


def test_short_work_shows_none(captures: Path) -> None:
    # However busy the machine is, this is short.
    program = (
        "import sys; from halfopen.cli import main, progress; progress.MOMENT = 60; sys.exit(main.main())"
    )
    shown = on_a_terminal(
        [sys.executable, "-c", program, "classify", str(captures), "--format", "ndjson"], []
    )
    assert "connections" in shown
    assert "\x1b" not in shown


def test_parquet_is_not_written_to_a_terminal(captures: Path) -> None:
    leader, follower = pty.openpty()
    done = subprocess.run(
        command("classify", captures, "--format", "parquet"),
        stdout=follower,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(follower)
    os.close(leader)
    assert done.returncode == 2
    assert done.stderr.startswith(b"halfopen: --format: parquet to a terminal cannot be used; accepted: ")
