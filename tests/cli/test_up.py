"""`halfopen up`: a first start makes everything, a second one resumes, and the end of it is the end of all."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from halfopen.cli import up as verb
from halfopen.cli.beginning import Beginning
from halfopen.cli.board import Board
from halfopen.cli.main import main
from halfopen.sensor.privileges import Capability, drop, held
from tests.cli.conftest import Ran
from tests.cli.upping import Ports, Up, up
from tests.conftest import allow
from tests.sensor import foreign
from tests.server.test_upkeep import until

Run = Callable[..., Ran]
Require = Callable[[bool, str], None]

ENDS = "Ctrl-C ends all of it."


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("up") / "data"


@pytest.fixture(scope="module")
def first(data: Path) -> Iterator[Up]:
    """A first start in a terminal, without the privilege of a sensor."""
    with up(data, terminal=True, prepare=drop) as running:
        running.heard(ENDS)
        yield running


def verified(url: str, token: str) -> int:
    asked = {"Authorization": f"Bearer {token}"}
    return httpx.get(f"{url}/client/v4/user/tokens/verify", headers=asked, timeout=60).status_code


def test_a_first_start_says_what_runs_where_and_gives_a_token_that_works(first: Up, data: Path) -> None:
    lines = [line.split(None, 1) for line in first.text.splitlines()]
    assert ["Dashboard", f"{first.url}/"] in lines
    assert ["API", f"{first.url}/client/v4"] in lines
    assert f"{data}, new" in first.text
    assert str(data / "edge" / "ca.pem") in first.text
    assert verified(first.url, first.token()) == 200
    assert (data.stat().st_mode & 0o777, (data / "edge" / "ca.key").stat().st_mode & 0o777) == (0o700, 0o600)


def test_nobody_else_learns_of_the_token(first: Up, data: Path) -> None:
    token = first.token().encode()
    kept = [path for path in data.rglob("*") if path.is_file() and token in path.read_bytes()]
    assert kept == []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            assert token not in (process / "cmdline").read_bytes()
        except OSError:
            continue  # it has ended


def test_without_the_privilege_one_line_says_what_is_lacking(first: Up) -> None:
    (line,) = (line for line in first.text.splitlines() if line.split()[:1] == ["Sensor"])
    assert "not running, it lacks CAP_NET_RAW: sudo " in line
    assert set(first.children()) == {"serve"}


def test_the_doctor_finds_it_healthy(halfopen: Run, first: Up, data: Path) -> None:
    ran = halfopen("doctor", "--data", data, "--config", data.with_name("data.toml"))
    assert ran.code == 0, ran.out
    assert f"it answers at {first.url} and is ready" in ran.out
    assert (
        f"connectors find it at 127.0.0.1:{first.ports.connectors}, with a certificate that they trust"
        in ran.out
    )
    assert f"visitors come in at http://127.0.0.1:{first.ports.visitors}" in ran.out
    assert "problem " not in ran.out
    assert f"--port ({data.with_name('data.toml')}: [serve] port)" in ran.out


def test_a_second_one_is_refused_with_the_words_where_the_first_runs(
    halfopen: Run, first: Up, data: Path
) -> None:
    other = Ports.free()
    ran = halfopen(
        "up", "--data", data, "--port", other.api, "--edge-listen", f"127.0.0.1:{other.connectors}",
        "--visitors", f"127.0.0.1:{other.visitors}",
    )  # fmt: skip
    assert (ran.code, ran.out) == (1, "")
    assert f"{data} has a `halfopen up` already (process {first.process.pid}, at {first.url}/): " in ran.err
    assert ready(first.url)


def test_the_doctor_knows_where_it_runs_whatever_is_set(halfopen: Run, first: Up, data: Path) -> None:
    ran = halfopen("doctor", "--data", data)
    assert f"it answers at {first.url} and is ready" in ran.out
    assert f"visitors come in at http://127.0.0.1:{first.ports.visitors}" in ran.out


def test_a_server_that_dies_is_started_again_and_that_is_said_once(first: Up) -> None:
    died = first.children()["serve"]
    os.kill(died, signal.SIGKILL)
    first.heard("the server ended")
    assert until(lambda: first.children().get("serve", died) != died, 60)
    assert until(lambda: ready(first.url), 60)
    assert first.text.count("the server ended") == 1


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=60).status_code == 200
    except httpx.TransportError:
        return False


def test_what_it_began_ends_with_it_even_if_it_is_killed(tmp_path: Path) -> None:
    with up(tmp_path / "data") as running:
        running.heard(ENDS)
        children = running.children().values()
        assert children
        running.process.kill()
        running.process.wait()
        assert until(lambda: not any(map(alive, children)), 60)


def alive(number: int) -> bool:
    try:
        state = Path(f"/proc/{number}/stat").read_text().rpartition(") ")[2][0]
    except OSError:
        return False
    return state != "Z"  # of one whom nobody waits for, as in a container without an init


def test_sigterm_ends_all_and_a_second_start_resumes_without_a_token(first: Up, data: Path) -> None:
    token = first.token()
    children = first.children().values()
    assert first.end() == 0
    assert not any(Path(f"/proc/{number}").exists() for number in children)
    with up(data, terminal=True, prepare=drop) as second:
        second.heard(ENDS)
        assert "Halfopen resumes." in second.text
        assert "0 connections, 0 tunnels" in second.text
        assert "shown this once" not in second.text
        assert "token create --permission admin" in second.text
        assert verified(second.url, token) == 200
        second.process.send_signal(signal.SIGINT)
        assert second.process.wait(60) == 0


def test_without_a_terminal_no_token_is_printed_and_lines_of_the_processes_go_to_standard_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with up(tmp_path / "data", prepare=drop) as running:
        running.heard(ENDS)
        assert "Make a token, and sign in at" in running.text
        assert "halfopen: serving http://" in running.text
        assert not (tmp_path / "data" / "up.log").exists()
        assert running.end() == 0
    capfd.readouterr()
    assert main(["token", "list", "--json", "--data", str(tmp_path / "data")]) == 0
    assert capfd.readouterr().out.strip() == "[]"


def test_the_log_is_for_nobody_else_and_a_full_disk_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verb, "_LOG_BYTES", 100)
    with verb._lines(tmp_path / "up.log", lambda: None) as say:
        for number in range(20):
            say(f"line {number}")
    found = sorted(tmp_path.iterdir())
    assert [(path.name, path.stat().st_mode & 0o777) for path in found] == [
        ("up.log", 0o600),
        ("up.log.1", 0o600),
    ]
    with verb._lines(Path("/dev/full"), lambda: None) as say:
        say("nobody hears this")
    assert capfd.readouterr() == ("", "")


def test_commands_can_be_typed_as_they_stand_there(capsys: pytest.CaptureFixture[str]) -> None:
    data = Path("/srv/two words;")
    found = Beginning(False, 0, 0, None, False, data / "edge" / "ca.pem")
    board = Board(data, found, "CAP_NET_RAW", ["--data", str(data)], None, None, None)
    board.show("http://127.0.0.1:8787", "127.0.0.1:7844", "http://127.0.0.1:8080", None)
    told = capsys.readouterr().out
    assert told.count("--data '/srv/two words;'") == 5
    assert "--cacert '/srv/two words;/edge/ca.pem' --edge" in told


def test_ctrl_c_before_anything_runs_ends_both_processes_in_one_line(tmp_path: Path) -> None:
    def working() -> bool:
        return Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text() != ""

    # The terminal sends it to all of them.
    with up(tmp_path / "data", terminal=True, prepare=partial(os.setpgid, 0, 0)) as running:
        assert until(working, 60)
        os.killpg(running.process.pid, signal.SIGINT)
        assert running.process.wait(60) == 130
        running.heard("halfopen: interrupted")
        assert "Traceback" not in running.text


@pytest.mark.parametrize("option", ["--port", "--edge-listen", "--visitors"])
def test_a_port_that_is_taken_is_told_with_its_option_before_anything_is_made(
    halfopen: Run, tmp_path: Path, option: str
) -> None:
    ports = Ports.free()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        given = {
            "--port": ports.api,
            "--edge-listen": f"127.0.0.1:{ports.connectors}",
            "--visitors": f"127.0.0.1:{ports.visitors}",
        }
        given[option] = number if option == "--port" else f"127.0.0.1:{number}"
        ran = halfopen("up", "--data", tmp_path / "data", *(word for pair in given.items() for word in pair))
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (2, "", 1)
    assert f"{option}: 127.0.0.1 port {number} cannot be used" in ran.err
    assert "Address already in use" in ran.err
    assert not (tmp_path / "data").exists()


def test_what_the_server_fails_by_is_the_last_word(tmp_path: Path) -> None:
    (tmp_path / "data" / "places").mkdir(parents=True)
    (tmp_path / "data" / "places" / "bad.mmdb").write_bytes(b"no places")
    with up(tmp_path / "data", prepare=drop) as running:
        assert running.process.wait(60) == 1
        assert until(lambda: "bad.mmdb" in running.text.splitlines()[-1], 10), running.text
        assert "Traceback" not in running.text


def test_what_cannot_be_used_is_told_before_anything_is_made(halfopen: Run, tmp_path: Path) -> None:
    for options, words in (
        (["--port", "x"], "--port: x cannot be used"),
        (["--user", "nobody"], "--data: none cannot be used"),
    ):
        ran = halfopen("up", *options)
        assert (ran.code, words in ran.err) == (2, True)


def test_with_the_privilege_the_sensor_runs(tmp_path: Path) -> None:
    allow(held(Capability.CAP_NET_RAW), "CAP_NET_RAW")
    with up(tmp_path / "data") as running:
        running.heard(ENDS)
        assert set(running.children()) == {"serve", "sense"}
        running.heard(" watches any, ")
        assert running.end() == 0


def test_started_as_root_all_of_it_becomes_the_user(
    tmp_path_factory: pytest.TempPathFactory, require: Require
) -> None:
    require(os.geteuid() == 0, "root, to give up its privileges")
    python = foreign.python()
    allow(python is not None, "a Python, and this program, that other users may run")
    allow(held(Capability.CAP_NET_RAW), "CAP_NET_RAW")
    assert python is not None
    nobody = pwd.getpwnam("nobody")
    folder = Path(f"/tmp/halfopen-up-{os.getpid()}")
    folder.mkdir()
    try:
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        program, environment = (python, "-m", "halfopen"), foreign.environment()
        with up(
            folder / "data", "--user", "nobody", terminal=True, program=program, environment=environment
        ) as running:
            running.heard(ENDS)
            assert running.token()
            assert "halfopen: serving" not in running.text
            assert "halfopen: serving" in (folder / "data" / "up.log").read_text()
            commands = [
                line for line in running.text.splitlines() if " ingest " in line or " tunnel create " in line
            ]
            assert len(commands) == 2
            assert all(line.split()[:3] == ["sudo", "-u", "nobody"] for line in commands)
            assert until(
                lambda: (
                    {Path(f"/proc/{each}").stat().st_uid for each in running.children().values()}
                    == {nobody.pw_uid}
                ),
                60,
            )
            assert {path.stat().st_uid for path in (folder / "data").rglob("*")} == {nobody.pw_uid}
            children = running.children().values()
            running.process.kill()
            assert until(lambda: not any(map(alive, children)), 60)
    finally:
        shutil.rmtree(folder)
