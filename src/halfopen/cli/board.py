"""What `halfopen up` says: what runs where, and what to do next."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from shlex import join, quote
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from halfopen.cli.text import counted, printable
from halfopen.config import default_data

if TYPE_CHECKING:
    from halfopen.cli.beginning import Beginning
    from halfopen.cli.children import Child
    from halfopen.cli.demo import Demo


def command() -> str:
    """How this command is typed here."""
    return (
        "halfopen"
        if shutil.which("halfopen")
        else os.path.relpath(Path(sys.executable).with_name("halfopen"))
    )


class Board:
    """The words of one run."""

    def __init__(
        self,
        data: Path,
        found: Beginning,
        lacking: str,
        common: Sequence[str],
        log: Path | None,
        demo: Demo | None,
        user: str | None,
    ) -> None:
        """`lacking` is the capability that the sensor would need, `common` what all verbs are told of the installation."""
        self._demo, self._as_root = demo, os.geteuid() == 0 and user is None
        self._data, self._found, self._lacking, self._common, self._log = data, found, lacking, common, log
        self._here = [] if data == default_data() else ["--data", str(data)]
        self._as = [] if user is None else ["sudo", "-u", user]
        self._console = Console(highlight=False, soft_wrap=True)

    def say(self, words: str) -> None:
        """One line about something that happened."""
        self._console.print(Text(f"halfopen: {printable(words)}"))

    def show(self, url: str, connectors: str, visitors: str, sensor: Child | None) -> None:
        """All of it, once the server answers."""
        rows = [
            ("Dashboard", f"{url}/"),
            ("API", f"{url}/client/v4"),
            ("Tunnels", f"connectors connect at {connectors}, visitors come in at {visitors}"),
            ("Sensor", self._sensor(sensor)),
            ("Data", f"{self._data}, {self._held()}"),
        ]
        if self._as_root:
            rows.append(("User", "root; with --user NAME all of it runs as somebody else"))
        if self._log is not None:
            rows.append(("Log", str(self._log)))
        self._print("", ("Halfopen runs." if self._found.new else "Halfopen resumes.", "bold"), "")
        for name, words in rows:
            self._print(Text.assemble(f"  {name:11}", (words, "bold" if name == "Dashboard" else "")))
        self.show_token()
        self._print("", "Next:")
        for number, (words, *commands) in enumerate(self._next(url, connectors, visitors), 1):
            self._print(f"  {number}. {words}", *((f"       {each}", "cyan") for each in commands))
        self._print("", "Ctrl-C ends all of it.")

    def show_token(self) -> None:
        """The token, if one was made: there is no second time."""
        if self._found.token is not None:
            self._print("", "The token of the administrator, shown this once; only a hash of it is kept:", "")
            self._print((f"  {self._found.token}", "bold"))

    def _next(self, url: str, connectors: str, visitors: str) -> Iterator[tuple[str, ...]]:
        if self._found.token is not None:
            yield (f"Sign in at {url}/ with the token.",)
        elif self._found.admin:
            yield (
                f"Sign in at {url}/ with your token. If it is lost, this makes another:",
                self._typed("token create --permission admin"),
            )
        else:
            yield (
                f"Make a token, and sign in at {url}/ with it:",
                self._typed("token create --permission admin"),
            )
        if self._demo:
            yield "Visit the tunnel of the demo:", f"curl -H 'Host: {self._demo.HOST}' {visitors}/"
            return
        yield "Put a capture of your servers into it:", self._typed("ingest capture.pcap")
        edges = " ".join([f"--edge {connectors}"] * 4)
        yield (
            "Connect a tunnel (docs/edge.md leads on to visitors):",
            self._typed("tunnel create blog"),
            f"cloudflared tunnel --cacert {quote(str(self._found.authority))} {edges} run --token $({self._typed('tunnel token blog')})",
        )

    def _typed(self, words: str) -> str:
        return " ".join([*self._as, command(), words, *map(quote, self._here)])

    def _sensor(self, sensor: Child | None) -> str:
        if self._demo:
            return "a made-up one delivers; this host is not watched in the demo"
        if self._lacking:
            own = join(self._common)
            return f"not running, it lacks {self._lacking}: sudo {command()} up {own} --user $(id -un)"
        if sensor is not None and sensor.found:
            return f"{sensor.found[0][1]} watches {sensor.found[0][2]}"
        return f"is starting; {self._typed('doctor')} tells how it does"

    def _held(self) -> str:
        if self._found.new:
            return "new"
        return f"{counted(self._found.connections, 'connection')}, {counted(self._found.tunnels, 'tunnel')}"

    def _print(self, *lines: str | Text | tuple[str, str]) -> None:
        for each in lines:
            self._console.print(Text(*each) if isinstance(each, tuple) else each, markup=False)
