"""`halfopen doctor` says of broken installations what is broken and what to do, and changes nothing. A healthy one: test_up."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from halfopen.accounts import Accounts
from halfopen.cli.main import main
from halfopen.edge.trust import Trust
from halfopen.store.committer import Batch
from halfopen.store.schema import INCOMING
from halfopen.store.store import Store
from tests.cli.conftest import Ran
from tests.cli.upping import Ports
from tests.conftest import allow
from tests.sensor import foreign
from tests.store.rows import row, table

Run = Callable[..., Ran]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation that does not run, of which nothing is broken, on ports that nobody has."""
    data = tmp_path_factory.mktemp("sound") / "data"
    data.mkdir(mode=0o700)
    Store(data / "store", create=True).close()
    Trust(data / "edge").context()
    assert main(["token", "create", "--permission", "admin", "--data", str(data)]) == 0
    assert main(["tunnel", "create", "blog", "--data", str(data)]) == 0
    (data / "halfopen.toml").write_text(Ports.free().settings())
    return data


@pytest.fixture
def data(sound: Path, tmp_path: Path) -> Path:
    """A copy, to be broken."""
    copy = tmp_path / "data"
    shutil.copytree(sound, copy)
    shutil.copy2(sound.with_name("data.key"), tmp_path / "data.key")
    return copy


def problems(ran: Ran) -> list[str]:
    return [line for line in ran.out.splitlines() if line.startswith("problem")]


def listing(data: Path) -> dict[str, int]:
    return {str(path): path.stat().st_size for path in data.parent.rglob("*")}


def test_a_sound_installation_has_no_problem_and_is_left_as_it_is(halfopen: Run, data: Path) -> None:
    before = listing(data)
    ran = halfopen("doctor", "--data", data)
    assert (ran.code, problems(ran)) == (0, [])
    assert "none of them an administrator's" not in ran.out
    gone = {path for path in before if path not in listing(data)}
    made = {path for path in listing(data) if path not in before and not path.endswith(("-wal", "-shm"))}
    assert gone == set()
    assert {Path(path).name for path in made} <= {"committer.lock"}


def test_tables_that_are_not_there_or_older_are_told_and_left_as_they_are(halfopen: Run, data: Path) -> None:
    with closing(sqlite3.connect(data / "accounts.sqlite")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '0004'")
    ran = halfopen("doctor", "--data", data)
    assert (ran.code, "of another version (0004, not " in ran.out) == (0, True), ran.out
    with closing(sqlite3.connect(data / "accounts.sqlite")) as database:
        assert database.execute("SELECT version_num FROM alembic_version").fetchall() == [("0004",)]
    for path in (*data.glob("accounts.*"), *data.glob("edge/*")):
        path.unlink()
    ran = halfopen("doctor", "--data", data)
    assert (ran.code, "`halfopen up` makes them" in ran.out) == (0, True), ran.out
    assert [*data.glob("accounts.*"), *data.glob("edge/*.pem")] == []


def test_without_an_installation_it_says_how_one_is_made(halfopen: Run, tmp_path: Path) -> None:
    ran = halfopen("doctor", "--data", tmp_path / "nowhere", "--config", toml(tmp_path))
    assert (ran.code, "`halfopen up` makes it" in ran.out) == (0, True)
    assert not (tmp_path / "nowhere").exists()


def toml(folder: Path) -> Path:
    path = folder / "x.toml"
    path.write_text(Ports.free().settings())
    return path


def others_may_look(data: Path) -> None:
    data.chmod(0o755)


def the_key_is_gone(data: Path) -> None:
    data.with_name("data.key").unlink()


def the_key_is_open(data: Path) -> None:
    data.with_name("data.key").chmod(0o644)


def the_authority_is_open(data: Path) -> None:
    (data / "edge" / "ca.key").chmod(0o644)


def the_authority_is_damaged(data: Path) -> None:
    (data / "edge" / "ca.pem").write_text("none")


def the_database_is_damaged(data: Path) -> None:
    for path in data.glob("accounts.sqlite-*"):
        path.unlink()
    (data / "accounts.sqlite").write_bytes(b"no database" * 1000)


def the_store_is_damaged(data: Path) -> None:
    shutil.rmtree(data / "store" / "connections")


def places_are_damaged(data: Path) -> None:
    (data / "places").mkdir()
    (data / "places" / "own.mmdb").write_bytes(b"none")


def the_clock_went_back(data: Path) -> None:
    os.utime(data / "accounts.sqlite", (time.time() + 86_400,) * 2)


@pytest.mark.parametrize(
    ("broken", "about", "words"),
    [
        (others_may_look, "data directory", "to do: chmod 700 "),
        (the_key_is_gone, "tunnels", "data.key"),
        (the_key_is_open, "tunnels", "chmod 600 "),
        (the_authority_is_open, "certificates", "chmod 600 "),
        (the_authority_is_damaged, "certificates", "ca.pem"),
        (the_database_is_damaged, "accounts", "accounts.sqlite"),
        (the_store_is_damaged, "store", "store"),
        (places_are_damaged, "places", "own.mmdb"),
        (the_clock_went_back, "clock", "to do: put it right"),
    ],
)
def test_what_is_broken_is_told_with_what_to_do(
    halfopen: Run, data: Path, broken: Callable[[Path], None], about: str, words: str
) -> None:
    broken(data)
    ran = halfopen("doctor", "--data", data)
    assert ran.code == 1
    assert any(line.split(None, 1)[1].startswith(about) for line in problems(ran)), ran.out
    assert words in ran.out
    assert ran.err == ""
    told = json.loads(halfopen("doctor", "--json", "--data", data).out)
    assert all(each["remedy"] for each in told if each["level"] == "problem"), told


def test_settings_that_cannot_be_used_are_told_before_anything_else(
    halfopen: Run, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HALFOPEN_GRACE", "long")
    ran = halfopen("doctor", "--data", data)
    assert (ran.code, len(problems(ran))) == (1, 1)
    assert "settings         HALFOPEN_GRACE: long cannot be used; accepted: " in problems(ran)[0]
    (data / "halfopen.toml").write_text("[serve]\nport = 99999\n")
    ran = halfopen("doctor", "--data", data, "--json")
    told = json.loads(ran.out)
    assert (ran.code, [each["level"] for each in told]) == (1, ["problem", "problem"])
    assert "HALFOPEN_GRACE: long" in told[0]["words"]
    assert "[serve] port: 99999 cannot be used" in told[1]["words"]


def test_what_one_may_not_look_into_is_told_with_whom_to_ask(tmp_path: Path) -> None:
    python = foreign.python()
    allow(os.geteuid() == 0 and python is not None, "root, and a Python that other users may run")
    assert python is not None
    folder = Path(f"/tmp/halfopen-doctor-{os.getpid()}")
    (folder / "data").mkdir(parents=True, mode=0o700)
    try:
        argv = [python, "-m", "halfopen", "doctor", "--json", "--data", str(folder / "data")]
        ran = subprocess.run(
            argv, user="nobody", env=foreign.environment(), capture_output=True, text=True, check=False
        )
    finally:
        shutil.rmtree(folder)
    (problem,) = (each for each in json.loads(ran.stdout) if each["level"] == "problem")
    assert (ran.returncode, ran.stderr) == (1, "")
    assert problem["remedy"] == f"ask as root: sudo -u root halfopen doctor --data {folder / 'data'}"


def test_what_belongs_to_somebody_else_is_not_opened(halfopen: Run, data: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can give files away")
    os.chown(data, 1, 1)
    ran = halfopen("doctor", "--data", data)
    assert (ran.code, len(problems(ran))) == (1, 1)
    assert f"sudo -u {pwd.getpwuid(1).pw_name} halfopen doctor --data {data}" in ran.out
    assert "accounts " not in ran.out


@contextmanager
def another_program() -> Iterator[int]:
    """Something that listens and speaks neither HTTP nor TLS."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        over = threading.Event()

        def answer() -> None:
            while not over.is_set():
                try:
                    taken, _ = server.accept()
                except TimeoutError:
                    continue
                with taken:
                    taken.sendall(b"220 mail\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            over.set()
            thread.join()


@pytest.mark.parametrize(
    ("setting", "option"),
    [
        ("port = {}", "--port"),
        ('edge-listen = "127.0.0.1:{}"', "--edge-listen"),
        ('visitors = "127.0.0.1:{}"', "--visitors"),
    ],
)
def test_another_program_at_a_port_is_told_from_ours(
    halfopen: Run, data: Path, setting: str, option: str
) -> None:
    lines = [
        line
        for line in (data / "halfopen.toml").read_text().splitlines()
        if setting.split()[0] not in line.split()
    ]
    with another_program() as port:
        (data / "halfopen.toml").write_text("\n".join([*lines, setting.format(port)]))
        ran = halfopen("doctor", "--data", data)
    (line,) = problems(ran)
    assert "another program has" in line
    assert f"take another port: {option}" in ran.out


def test_a_sensor_that_fell_silent_is_a_problem_and_one_that_lives_is_none(halfopen: Run, data: Path) -> None:
    day = 86_400
    for name, ago in (("silent", day), ("alive", 0)):
        with closing(Store(data / "store", clock=lambda ago=ago: time.time() - ago)) as store:  # type: ignore[misc]
            now = int(time.time()) - ago
            batch = Batch(name, str(uuid4()), 1, now - 60, INCOMING.empty_table(), now - 900)
            store.committer().commit([batch])
    ran = halfopen("doctor", "--data", data)
    (line,) = problems(ran)
    assert "silent was heard of 24 hours ago" in line
    assert "halfopen store forget --sensor silent" in ran.out
    assert "ok       sensors          alive was heard of" in ran.out


def test_names_are_looked_up_only_when_they_are_asked_about(
    halfopen: Run, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = halfopen("doctor", "--data", data, "--dns", "localhost", "--dns", "no-such-host.invalid")
    assert "localhost is " in ran.out
    (line,) = problems(ran)
    assert "no-such-host.invalid leads nowhere" in line

    def resolved(*_: object, **__: object) -> None:
        raise AssertionError("somebody was asked")

    monkeypatch.setattr("socket.getaddrinfo", resolved)
    assert "DNS" not in halfopen("doctor", "--data", data).out


def test_it_is_told_to_programs_as_well(halfopen: Run, data: Path) -> None:
    others_may_look(data)
    ran = halfopen("doctor", "--json", "--data", data)
    found = json.loads(ran.out)
    assert ran.code == 1
    assert {each["level"] for each in found} <= {"ok", "note", "problem"}
    assert [each["about"] for each in found if each["level"] == "problem"] == ["data directory"]


def test_nobody_who_may_do_everything_is_worth_a_note(halfopen: Run, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    Accounts.open(tmp_path / "data").close()
    ran = halfopen("doctor", "--data", tmp_path / "data", "--config", toml(tmp_path))
    assert "none of them an administrator's" in ran.out
    assert "`halfopen token create --permission admin` makes one" in ran.out


def test_what_root_left_in_an_installation_of_somebody_else_is_told(halfopen: Run, data: Path) -> None:
    if os.geteuid():
        pytest.skip("only root can give files away")
    os.chown(data / "store" / "rollups", 1, 1)
    ran = halfopen("doctor", "--data", data)
    (line,) = problems(ran)
    assert f"{data / 'store' / 'rollups'} is not of root but of " in line
    assert f"to do: sudo chown -R root {data} " in ran.out


@pytest.mark.parametrize(("ago", "level"), [(60, "note"), (7200, "problem")])
def test_rollups_that_lack_connections_for_long_are_a_problem(
    halfopen: Run, data: Path, ago: int, level: str
) -> None:
    with closing(Store(data / "store")) as store:
        now = int(time.time())
        store.committer().commit(
            [Batch("alive", str(uuid4()), 1, now - 60, table([row(now - 90)]), now - 900)]
        )
    log = data / "store" / "connections" / "_delta_log"
    newest = max(log.glob("*.json"))
    actions = [json.loads(line) for line in newest.read_text().splitlines()]
    for each in actions:
        if "commitInfo" in each:
            each["commitInfo"]["timestamp"] = (now - ago) * 1000
    newest.write_text("\n".join(map(json.dumps, actions)))
    ran = halfopen("doctor", "--data", data)
    (line,) = (each for each in ran.out.splitlines() if "its rollups lack connections" in each)
    assert line.startswith(level)
    assert halfopen("store", "prune", "--data", data).code == 0
    assert "rollups lack" not in halfopen("doctor", "--data", data).out
