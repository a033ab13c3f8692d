"""`halfopen up` in a process of its own, with or without a terminal, on free ports."""

from __future__ import annotations

import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.server.test_upkeep import until

PATIENCE = 120  # s


@dataclass
class Ports:
    """Free ones."""

    api: int
    connectors: int
    visitors: int

    @classmethod
    def free(cls) -> Ports:
        with ExitStack() as open_:
            probes = [open_.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
            return cls(*(probe.getsockname()[1] for probe in probes))

    def settings(self) -> str:
        return (
            f'[serve]\nport = {self.api}\nedge-listen = "127.0.0.1:{self.connectors}"\n'
            f'visitors = "127.0.0.1:{self.visitors}"\n'
        )


@dataclass
class Up:
    """A process, and what it has said."""

    process: subprocess.Popen[bytes]
    ports: Ports
    said: bytearray = field(default_factory=bytearray)

    @property
    def text(self) -> str:
        plain = self.said.decode(errors="replace").replace("\r\n", "\n")
        return re.sub(r"\x1b\[[0-9;]*m", "", plain)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports.api}"

    def heard(self, words: str) -> None:
        assert until(lambda: words in self.text or self.process.poll() is not None, PATIENCE), self.text
        assert words in self.text, self.text

    def token(self) -> str:
        found = re.search(r"^  ([\w-]{40})$", self.text, re.MULTILINE)
        assert found is not None, self.text
        return found[1]

    def children(self) -> dict[str, int]:
        """What runs below it: the verb or module of each, and its process; not its own fork, which writes the log."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        found = {}
        for number in path.read_text().split():
            words = Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
            if b"-m" in words and b"up" not in words:
                module, verb = words[words.index(b"-m") + 1 :][:2]
                found[(verb if module == b"halfopen" else module).decode()] = int(number)
        return found

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


@contextmanager
def up(
    data: Path,
    *options: str,
    terminal: bool = False,
    program: Sequence[str] = (sys.executable, "-m", "halfopen"),
    prepare: Callable[[], None] | None = None,
    environment: dict[str, str] | None = None,
) -> Iterator[Up]:
    """Run it; its ports are free ones, by its settings file."""
    ports = Ports.free()
    file = data.with_name(f"{data.name}.toml")
    file.write_text(ports.settings())
    ours, theirs = pty.openpty() if terminal else os.pipe()
    process = subprocess.Popen(
        [*program, "up", "--data", str(data), "--config", str(file), *options],
        stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, preexec_fn=prepare, env=environment,
    )  # fmt: skip
    os.close(theirs)
    running = Up(process, ports)

    def read() -> None:
        with suppress(OSError):  # a terminal that nobody writes to any more
            while piece := os.read(ours, 4096):
                running.said.extend(piece)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        yield running
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        reader.join(10)
        os.close(ours)
