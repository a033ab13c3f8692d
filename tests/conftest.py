"""Set-up shared by all tests: kernels run with their bounds checked, required parts are required, databases are made."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import settings

from halfopen.config import ACCOUNTS_URL
from tests.databases.cluster import Cluster, cluster, programs
from tests.databases.database import KINDS, Database

# Before numba is imported anywhere: checked kernels live in a cache of their own.
os.environ["NUMBA_BOUNDSCHECK"] = "1"
os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(tempfile.gettempdir()) / f"halfopen-checked-{os.getuid()}"))
# No test reaches for the database of whoever runs it.
os.environ.pop(ACCOUNTS_URL, None)

# `pytest --hypothesis-profile fuzz` looks a hundred times longer.
settings.register_profile("suite", max_examples=300, deadline=None)
settings.register_profile("fuzz", max_examples=30_000, deadline=None)
settings.load_profile("suite")

Require = Callable[[bool, str], None]


def _check(present: bool, what: str) -> None:
    if present:
        return
    if os.environ.get("HALFOPEN_REQUIRE_ALL") == "1":
        pytest.fail(f"required and missing: {what}")
    pytest.skip(f"missing: {what}")


def allow(present: bool, what: str) -> None:
    """Skip, even where all parts are required, what this machine does not let anybody do: nothing can be installed for it."""
    if not present:
        pytest.skip(f"not possible on this machine: {what}")


@pytest.fixture(scope="session")
def require() -> Require:
    """Skip where a real part is missing; fail instead where HALFOPEN_REQUIRE_ALL=1."""
    return _check


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A real PostgreSQL, started for this run and shared by its workers."""
    _check(programs() is not None, "initdb and postgres (Debian: package postgresql)")
    own = tmp_path_factory.getbasetemp()
    with cluster(own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) as found:
        yield found


@pytest.fixture(params=KINDS)
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[str], Database]]:
    """Makes empty databases, by a name for each data directory; all tests of it run with SQLite and with PostgreSQL."""
    server = request.getfixturevalue("postgresql") if request.param == "postgresql" else None
    with ExitStack() as made:

        def make(name: str) -> Database:
            data = tmp_path / name
            data.mkdir(mode=0o700)
            return Database(data, made.enter_context(server.database()) if server else None)

        yield make


@pytest.fixture
def database(databases: Callable[[str], Database], monkeypatch: pytest.MonkeyPatch) -> Database:
    """An empty database, which this process and its children use with ``--data`` `database.data`."""
    made = databases("data")
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    return made
