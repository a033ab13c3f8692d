"""What a server carries: everything it needs to answer, and not what only other verbs need."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import Require
from tests.server.conftest import Served
from tests.server.test_upkeep import SUMMARY


def test_a_server_that_has_answered_holds_neither_numba_nor_pandas(served: Served, require: Require) -> None:
    maps = Path(f"/proc/{served.process.pid}/maps")
    require(maps.exists(), "Linux's /proc")
    assert served.get(SUMMARY).status_code == 200
    assert served.get("/client/v4/radar/tcp_resets_timeouts/timeseries_groups/asn").status_code == 200
    mapped = maps.read_text()
    assert "/pyarrow/" in mapped
    for name in ("numba", "llvmlite", "pandas"):
        assert f"/{name}/" not in mapped, name
