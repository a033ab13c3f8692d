"""A PostgreSQL of the test run: started by the first who asks, shared by all workers, gone with the last of them.

Every worker holds a shared lock. A process of its own keeps the server and waits for the exclusive one, which it gets when
nobody is left, however they ended: `python -m tests.databases.cluster DIRECTORY`.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_SH, flock
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from tests.house.project import ROOT

ROLE: Final = "halfopen"
PASSWORD: Final = "swordfish"
"""Of everybody: of the superuser `postgres`, and of ROLE, who owns the databases and may do nothing else."""

_PATIENCE: Final = 60.0  # seconds for a server to start
_SETTINGS: Final = {
    "listen_addresses": "",  # its socket in a directory is enough: no port to be taken by somebody else
    "max_connections": "300",
    "shared_buffers": "32MB",
}
_FORGETFUL: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""Of a server of which nothing outlives the run."""


class Cluster:
    """A server that runs, by the directory of its socket."""

    def __init__(self, directory: str) -> None:
        self.directory = directory

    @property
    def socket(self) -> str:
        """Where it listens."""
        return f"{self.directory}/.s.PGSQL.5432"

    @contextmanager
    def database(self) -> Iterator[str]:
        """A new database of ROLE, by its URL; it is dropped afterwards, whoever is still connected."""
        name = f"test_{secrets.token_hex(8)}"
        with self.superuser() as connection:
            create = sql.SQL("CREATE DATABASE {} OWNER {}")
            connection.execute(create.format(sql.Identifier(name), sql.Identifier(ROLE)))
        yield self.url(name)
        with self.superuser() as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def url(self, database: str, role: str = ROLE, password: str = PASSWORD) -> str:
        """The URL of a database."""
        return f"postgresql://{role}:{password}@/{database}?host={self.directory}"

    def superuser(self, database: str = "postgres") -> psycopg.Connection[Any]:
        """A connection of the superuser, each statement a transaction."""
        return psycopg.connect(_conninfo(self.directory), dbname=database, autocommit=True)


def programs() -> Path | None:
    """Where initdb and postgres are, of the newest version there is."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if found:
        return max(found, key=lambda path: float(path.parent.name))
    initdb = shutil.which("initdb")
    return Path(initdb).resolve().parent if initdb else None


@contextmanager
def cluster(shared: Path) -> Iterator[Cluster]:
    """The server of the test run, whose workers have the directory `shared` in common."""
    with (shared / "cluster.users").open("w") as users, (shared / "cluster.start").open("w") as start:
        flock(users, LOCK_SH)
        flock(start, LOCK_EX)
        if not _ready(shared).exists():
            _start(shared)
        start.close()
        yield Cluster(_ready(shared).read_text())


def _start(shared: Path) -> None:
    log = shared / "cluster.log"
    with log.open("wb") as stream:
        keeper = subprocess.Popen(
            [sys.executable, "-m", __name__, shared],
            cwd=ROOT, stdout=stream, stderr=stream, start_new_session=True,
        )  # fmt: skip
    while not _ready(shared).exists():
        if keeper.poll() is not None:
            raise RuntimeError(f"no PostgreSQL: {log.read_text()}")
        time.sleep(0.02)
    keeper.returncode = 0  # it outlives this process, and nobody waits for it


def _ready(shared: Path) -> Path:
    return shared / "cluster.ready"


def _conninfo(directory: str) -> str:
    return make_conninfo(host=directory, dbname="postgres", user="postgres", password=PASSWORD)


def _keep(shared: Path) -> None:
    where = Path(tempfile.mkdtemp(prefix="halfopen-pg-"))  # a short path: names of sockets are
    try:
        with running(where, _FORGETFUL):
            ready = _ready(shared)
            half = ready.with_suffix(".half")
            half.write_text(str(where))
            half.rename(ready)
            with (shared / "cluster.users").open() as users:
                flock(users, LOCK_EX)
                ready.unlink()
    finally:
        shutil.rmtree(where)


@contextmanager
def running(where: Path, settings: Mapping[str, str]) -> Iterator[None]:
    """A server in a new directory, for as long as the block."""
    bin_ = programs()
    assert bin_ is not None
    data, password = where / "data", where / "password"
    password.write_text(PASSWORD)
    run: dict[str, Any] = {"cwd": where}
    if os.geteuid() == 0:  # PostgreSQL refuses to be root
        owner = _owner()
        run |= {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": ()}
        for path in (where, password):
            os.chown(path, owner.pw_uid, owner.pw_gid)
    initdb = [
        str(bin_ / "initdb"), f"--pgdata={data}", "--no-sync", "--username=postgres", f"--pwfile={password}",
        "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C",
    ]  # fmt: skip
    subprocess.run(initdb, check=True, **run)
    given = {**_SETTINGS, **settings}
    told = [word for name, value in given.items() for word in ("-c", f"{name}={value}")]
    server = subprocess.Popen([bin_ / "postgres", "-D", data, "-k", where, *told], **run)
    try:
        _make_role(where, server)
        yield
    finally:
        server.send_signal(signal.SIGQUIT)  # at once: there is nothing to keep
        server.wait()


def _make_role(where: Path, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            with psycopg.connect(_conninfo(str(where))) as connection:
                create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}")
                connection.execute(create.format(sql.Identifier(ROLE), PASSWORD))
            return
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.02)


def _owner() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


if __name__ == "__main__":
    _keep(Path(sys.argv[1]))
