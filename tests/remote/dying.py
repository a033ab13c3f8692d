"""`halfopen serve`, but killed as soon as it has committed a batch: before the rollups follow, and before it says so."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

import granian.server
from starlette.applications import Starlette

from halfopen.cli.main import main
from halfopen.server import worker as real
from halfopen.store.committer import Batch, Committer, Receipt


def worker() -> Starlette:
    commit = Committer.commit

    def and_die(self: Committer, batches: Sequence[Batch]) -> list[Receipt]:
        commit(self, batches)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    Committer.commit = and_die  # type: ignore[method-assign]
    return real.worker()


def _granian(_: str, **settings: Any) -> Any:
    return granian.server.Server(f"{__spec__.name}:worker", **settings)


if __name__ == "__main__":
    granian.Granian = _granian  # type: ignore[assignment]
    raise SystemExit(main(["serve", *sys.argv[1:]]))
