"""Stock cloudflared as the connector of a scenario, in a process of its own, with what is seen of that process."""

from __future__ import annotations

import asyncio
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path
from typing import Any, Final

from halfopen.tunnels.vault import RunToken
from tests.tunnelwire.recording.live import PATIENCE, Connector, LivePlay
from tests.tunnelwire.recording.origin import HOST

TOKEN: Final = RunToken("699d98642c564d2e855e9661899b7252", "f70ff985-a4ef-4643-bbbc-4a0ed4fc8415", b"s" * 32)
_METRICS: Final = 9_000
_WRITTEN: Final = 0.5  # s after which a log is written
_WATCHED: Final = 4.0  # s for which a process is watched that does nothing


class Cloudflared(Connector):
    """`cloudflared tunnel run`, with one connection."""

    host = HOST

    def __init__(self, program: str, *options: str) -> None:
        """`options` of ``tunnel``."""
        self._program, self._options = program, options
        self._process: Process | None = None
        self._log = b""

    async def start(self, play: LivePlay, port: int, authority: Path) -> None:
        """As `Connector`."""
        argv = [
            self._program, "tunnel", "--no-autoupdate", "--no-prechecks", "--metrics", f"{HOST}:{_METRICS}", "--output", "json",
            "--loglevel", "debug", "--cacert", str(authority), *["--edge", f"{HOST}:{port}"] * 2, "--ha-connections", "1",
            "--protocol", play.transport, "--grace-period", "3s", *self._options, "run", "--token", str(TOKEN),
        ]  # fmt: skip
        self._process = await asyncio.create_subprocess_exec(*argv, stdout=DEVNULL, stderr=PIPE)
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stderr is not None
        while line := await self._process.stderr.readline():
            self._log += line

    async def leave(self) -> None:
        """As `Connector`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)

    async def stop(self) -> None:
        """As `Connector`."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await self._reading

    async def note(self, name: str) -> Any:
        """As `Connector`."""
        assert self._process is not None
        match name:
            case "ready":
                return await self._ready()
            case "exit":
                return await asyncio.wait_for(self._process.wait(), PATIENCE)
            case "running":
                await asyncio.sleep(_WATCHED)
                return self._process.returncode is None
        await asyncio.sleep(_WRITTEN)
        return name.removeprefix("logged ").encode() in self._log

    async def _ready(self) -> int | None:
        """The status that it answers when it is asked whether it is ready."""
        try:
            reader, writer = await asyncio.open_connection(HOST, _METRICS)
        except OSError:
            return None
        writer.write(b"GET /ready HTTP/1.1\r\nHost: metrics\r\nConnection: close\r\n\r\n")
        line = await reader.readline()
        writer.close()
        return int(line.split()[1])


async def version(program: str) -> str:
    """The version of a program."""
    asked = await asyncio.create_subprocess_exec(program, "--version", stdout=PIPE)
    told, _ = await asked.communicate()
    return told.decode().split()[2]
