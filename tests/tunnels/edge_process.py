"""An edge in a process of its own, that throws away what news tell it to close: as if they were lost on the way.

It prints the ids it holds, then after each heartbeat those it was told to close, as lines of JSON, until it is killed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.databases.database import Database
from tests.house.project import ROOT
from tests.tunnels.played import PlayedEdge, Server


class EdgeProcess:
    """Such a process that runs, as its test sees it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.held: set[str] = set(self._line())

    def heartbeat(self) -> list[str]:
        """What the next heartbeat was answered."""
        told: list[str] = self._line()
        return told

    def kill(self) -> None:
        """End it without a chance to say anything (SIGKILL)."""
        self._process.kill()
        self._process.wait()

    def _line(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


@contextmanager
def running(edge: PlayedEdge, api: str, token: str = "", held: Collection[str] = ()) -> Iterator[EdgeProcess]:
    """The next process of an edge: it registers with a connector's token, if there is one, and speaks of what is `held`."""
    given = {"api": api, "name": edge.name, "key": edge.key, "token": token, "held": sorted(held)}
    command = [sys.executable, "-m", __name__, json.dumps(given)]
    with subprocess.Popen(command, cwd=ROOT, env=os.environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield EdgeProcess(process)
        finally:
            process.kill()


def main() -> None:
    """Be the edge."""
    given = json.loads(sys.argv[1])
    edge = PlayedEdge(Server(Database(Path()), given["api"], "", ""), given["name"], given["key"])
    edge.held |= set(given["held"])
    if given["token"]:
        edge.register(given["token"])
    print(json.dumps(sorted(edge.held)), flush=True)
    while True:
        edge.news()
        print(json.dumps(edge.heartbeat()), flush=True)
        time.sleep(0.1)


if __name__ == "__main__":
    main()
