"""A watched server in a test bed: a sensor on its interface, and the API that its connections are asked of.

Everything runs as a user runs it, in processes of its own inside the namespace of the server. The clock of the
API is an hour ahead: so the quarter of an hour that the connections are of counts as over.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode

from halfopen.radar.windows import stamp
from halfopen.store.query import QUARTER
from halfopen.testing.namespaces import MissingError
from halfopen.testing.testbed import TestBed

AHEAD: Final = 3600
"""Seconds by which the clock of the API is ahead."""

URL: Final = "http://127.0.0.1:8787"
NAME: Final = "watched"

_WATCHES: Final = "sample: "
"""What a sensor says once it watches."""

_PATIENCE: Final = 60.0
_COMMAND: Final = (sys.executable, "-m", "halfopen")
_AHEAD: Final = (
    sys.executable, "-c",
    f"import sys, time; now = time.time; time.time = lambda: now() + {AHEAD}; "
    "from halfopen.cli.main import main; sys.exit(main(sys.argv[1:]))",
)  # fmt: skip


class Watched:
    """The processes; a context manager, at whose end they are gone."""

    def __init__(self, bed: TestBed, data: Path) -> None:
        self._bed, self._data = bed, data
        self._stack = ExitStack()
        self._own = data.with_name(f"{data.name}-sensor")  # the sensor's data directory
        self._begun = int(time.time())
        self.server: subprocess.Popen[bytes] | None = None
        self.sensor: subprocess.Popen[bytes] | None = None
        self.token = self._made(
            "token", "create", "--permission", "radar:read", "--permission", "connections:read"
        )
        self.token_file = data.with_name(f"{data.name}.sensor-token")
        self.token_file.touch(0o600)
        self.token_file.write_text(
            self._made("token", "create", "--permission", "sensor:write", "--sensor", NAME)
        )

    def __enter__(self) -> Watched:
        return self

    def __exit__(self, *_: object) -> None:
        for process in (self.sensor, self.server):
            if process is not None and process.poll() is None:
                process.terminate()
                try:
                    process.wait(_PATIENCE)
                except subprocess.TimeoutExpired:
                    process.kill()
        self._stack.close()

    def serve(self) -> None:
        """Start the API, and wait until it answers."""
        self.server = self.start("server.log", *_AHEAD, "serve", "--data", str(self._data))
        self._until(self.server, "server.log", self._answers)

    def sense(self, *options: str, source: tuple[str, str] = ("-i", "up0"), remote: bool = True) -> None:
        """Start a sensor on the server's interface, and wait until it watches.

        It delivers to the API, or else into the dataset that the API answers from.
        """
        to = ("--to", URL, "--token-file", str(self.token_file)) if remote else ("--store", str(self.store))
        before = self.log("sensor.log").count(_WATCHES)
        self.sensor = self.start(
            "sensor.log", *_COMMAND, "sense", *source, "--name", NAME, "--data", str(self._own), *to, *options
        )  # fmt: skip
        self._until(self.sensor, "sensor.log", lambda: self.log("sensor.log").count(_WATCHES) > before)

    def stop_sensing(self) -> None:
        """End the sensor as the system does, and wait until it has delivered."""
        assert self.sensor is not None
        self.sensor.send_signal(signal.SIGTERM)
        if self.sensor.wait(_PATIENCE):
            raise MissingError(f"the sensor failed: {self.log('sensor.log')}")

    def kill_sensor(self) -> None:
        """End the sensor at once."""
        assert self.sensor is not None
        self.sensor.kill()
        self.sensor.wait()

    def kill_server(self) -> None:
        """End the API at once."""
        assert self.server is not None
        self.server.kill()
        self.server.wait()

    @property
    def store(self) -> Path:
        """Where the dataset lies."""
        return self._data / "store"

    def output(self, *arguments: str) -> str:
        """What a command of Halfopen prints, beside the server."""
        with self._bed.server.entered():
            done = subprocess.run([*_COMMAND, *arguments], capture_output=True, text=True, check=True)
        return done.stdout

    def begin(self, log: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start a command of Halfopen beside the server; what it says goes to a log."""
        return self.start(log, *_COMMAND, *arguments)

    def start(self, log: str, *command: str) -> subprocess.Popen[bytes]:
        """Start a command beside the server; what it says goes to a log."""
        stream = self._stack.enter_context(self._data.with_name(log).open("ab"))
        with self._bed.server.entered():
            return subprocess.Popen(command, stdout=stream, stderr=stream, env=os.environ | {"NO_COLOR": "1"})

    def log(self, name: str) -> str:
        """What was said so far."""
        path = self._data.with_name(name)
        return path.read_text() if path.exists() else ""

    def page(self, url: str) -> str:
        """What is to be read there, beside the server."""
        with self._bed.server.entered(), urllib.request.urlopen(url, timeout=_PATIENCE) as answer:
            return str(answer.read().decode())

    def window(self) -> dict[str, str]:
        """The quarters of an hour since this began, as a question says it."""
        begin = self._begun - self._begun % QUARTER
        end = int(time.time()) // QUARTER * QUARTER + QUARTER
        return {"dateStart": stamp(begin), "dateEnd": stamp(end)}

    def ask(self, path: str, **parameters: str) -> Any:
        """The `result` of a question below ``/radar/tcp_resets_timeouts``."""
        query = urlencode(self.window() | parameters)
        request = urllib.request.Request(
            f"{URL}/client/v4/radar/tcp_resets_timeouts/{path}?{query}",
            headers={"Authorization": f"Bearer {self.token}"},
        )
        with self._bed.server.entered(), urllib.request.urlopen(request, timeout=_PATIENCE) as answer:
            return json.load(answer)["result"]

    def counts(self, **parameters: str) -> dict[str, int]:
        """Connections by stage."""
        told = self.ask("summary", normalization="RAW_VALUES", **parameters)["summary_0"]
        return {stage: round(float(count)) for stage, count in told.items()}

    def _made(self, *arguments: str) -> str:
        done = subprocess.run(
            [*_COMMAND, *arguments, "--data", str(self._data)], capture_output=True, text=True, check=True
        )
        return done.stdout.split()[0]

    def _answers(self) -> bool:
        try:
            with self._bed.server.entered(), urllib.request.urlopen(f"{URL}/healthz", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            return False

    def _until(self, process: subprocess.Popen[bytes], log: str, true: Any) -> None:
        end = time.monotonic() + _PATIENCE
        while not true():
            if process.poll() is not None or time.monotonic() > end:
                raise MissingError(f"it does not begin: {self.log(log)}")
            time.sleep(0.1)
