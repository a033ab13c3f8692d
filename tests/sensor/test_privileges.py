"""Privileges are given up by real processes; what is left of them is read from the kernel."""

import json
import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import allow
from tests.sensor import foreign

Require = Callable[[bool, str], None]

CHILD = """
import json, os, socket, sys, threading
from pathlib import Path
from halfopen.errors import HalfopenError
from halfopen.sensor.privileges import Capability, drop, held, opening
from tests.sensor.ambient import become

def ring():
    return socket.socket(socket.AF_PACKET, socket.SOCK_RAW)

def told(call):
    try:
        call()
    except (HalfopenError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return ""

def status():
    found = []
    for thread in Path("/proc/self/task").iterdir():
        lines = [line.split(":", 1) for line in (thread / "status").read_text().splitlines()]
        found.append({name: value.strip() for name, value in lines})
    return found

def answer(**facts):
    print(json.dumps(facts))

"""


def child(script: str, *before: str, **environment: str) -> dict[str, Any]:
    """What a process of its own, with the rights of this one or those that the command `before` gives it, answers."""
    done = subprocess.run(
        [*before, foreign.python() or sys.executable, "-c", CHILD + script],
        capture_output=True, text=True, timeout=60, check=False, env=foreign.environment() | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.fixture
def root(require: Require) -> None:
    require(os.geteuid() == 0, "root, to give up its privileges")
    allow(foreign.python() is not None, "a Python, and this program, that other users may run")
    probe = child("answer(raw=held(Capability.CAP_NET_RAW), admin=held(Capability.CAP_NET_ADMIN))")
    require(probe["raw"] and probe["admin"], "CAP_NET_RAW and CAP_NET_ADMIN")


def nothing_left(threads: list[dict[str, str]]) -> None:
    for thread in threads:
        for name in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(thread[name], 16) == 0, name
        assert thread["NoNewPrivs"] == "1"


@pytest.mark.usefixtures("root")
def test_root_becomes_a_user_who_can_do_nothing_more() -> None:
    found = child("""
open_already = ring()
drop("nobody")
later = threading.Thread(target=threading.Event().wait, daemon=True)
later.start()
answer(
    threads=status(), bound=open_already.fileno() >= 0 and told(lambda: open_already.bind(("lo", 3))),
    ring=told(ring), again=told(lambda: os.setuid(0)), groups=os.getgroups(),
    home=os.environ["HOME"], user=os.environ["USER"], ids=os.getresuid() + os.getresgid(),
)
""")
    assert len(found["threads"]) == 2
    nothing_left(found["threads"])
    assert all(int(thread["CapBnd"], 16) == 0 for thread in found["threads"])
    assert found["bound"] == ""  # a socket that is open is bound anew without any right
    assert found["ring"].startswith("PermissionError")
    assert found["again"].startswith("PermissionError")
    nobody = pwd.getpwnam("nobody")
    assert found["ids"] == [nobody.pw_uid] * 3 + [nobody.pw_gid] * 3
    assert found["groups"] == os.getgrouplist("nobody", nobody.pw_gid)
    assert (found["home"], found["user"]) == (nobody.pw_dir, "nobody")


@pytest.mark.usefixtures("root")
def test_root_that_stays_root_has_no_capability_either() -> None:
    found = child("drop(); answer(threads=status(), ring=told(ring), chown=told(lambda: os.setuid(1)))")
    nothing_left(found["threads"])
    assert all(int(thread["CapBnd"], 16) == 0 for thread in found["threads"])
    assert found["ring"].startswith("PermissionError")
    assert found["chown"].startswith("PermissionError")


@pytest.mark.usefixtures("root")
def test_one_ambient_capability_is_enough_and_is_given_up() -> None:
    found = child("""
become("nobody", Capability.CAP_NET_RAW)
before = held(Capability.CAP_NET_RAW), held(Capability.CAP_NET_ADMIN), os.geteuid() != 0
with opening("a ring", Capability.CAP_NET_RAW):
    open_already = ring()
drop()
answer(before=before, after=held(Capability.CAP_NET_RAW), threads=status(), ring=told(ring))
""")
    assert found["before"] == [True, False, True]
    assert found["after"] is False
    nothing_left(found["threads"])
    assert found["ring"].startswith("PermissionError")


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("user", [None, "nobody"])
def test_what_runs_beside_a_sensor_is_handed_nothing(user: str | None) -> None:
    """A program that is begun after `leave` has no capability, and who started it keeps its own."""
    become = "become('daemon', Capability.CAP_NET_RAW)" if user is None else "pass"
    found = child(f"""
import subprocess
from halfopen.sensor.privileges import leave
{become}
done = subprocess.run(["cat", "/proc/self/status"], preexec_fn=lambda: leave({user!r}), capture_output=True, text=True)
answer(beside=done.stdout, held=held(Capability.CAP_NET_RAW))
""")
    assert found["held"] is True
    beside = dict(line.split(":\t", 1) for line in found["beside"].splitlines() if ":\t" in line)
    assert {int(beside[name], 16) for name in ("CapPrm", "CapEff", "CapAmb")} == {0}
    if user is not None:
        assert beside["Uid"].split() == [str(pwd.getpwnam(user).pw_uid)] * 4


@pytest.mark.usefixtures("root")
def test_a_user_namespace_is_enough_for_its_own_network() -> None:
    anybody = ("setpriv", "--reuid=nobody", "--clear-groups", "unshare", "--map-root-user", "--net")
    possible = (
        shutil.which("setpriv") and subprocess.run([*anybody, "true"], capture_output=True).returncode == 0
    )
    allow(bool(possible), "user namespaces for everybody")
    found = child(
        """
from halfopen.capture.live.nflog_socket import open_group
opened = ring(), open_group(5, 200)
interfaces = [name for _, name in socket.if_nameindex()]
drop()
answer(threads=status(), ring=told(ring), group=told(lambda: open_group(6, 200)), interfaces=interfaces)
""",
        *anybody,
    )
    nothing_left(found["threads"])
    assert found["ring"].startswith("PermissionError")
    assert found["group"].startswith("PermissionError")
    assert found["interfaces"] == ["lo"]


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("name", ["CAP_NET_RAW", "CAP_NET_ADMIN"])
def test_who_lacks_it_is_told_what_and_the_three_ways(name: str) -> None:
    found = child(f"""
def open_it():
    with opening("the wire", Capability.{name}):
        ring()
drop("nobody")
answer(said=told(open_it))
""")
    assert found["said"].startswith(f"PrivilegeError: the wire needs {name}, which this process lacks.")
    for way in ("--user NAME", f"AmbientCapabilities={name}", "unshare --map-root-user --net"):
        assert way in found["said"]
    assert "\n" not in found["said"]


@pytest.mark.usefixtures("root")
def test_who_has_it_elsewhere_is_told_so() -> None:
    found = child("""
def open_it():
    with opening("the wire", Capability.CAP_NET_RAW):
        raise PermissionError
answer(said=told(open_it))
""")
    assert "not for this network" in found["said"]


@pytest.mark.usefixtures("root")
def test_after_threads_have_begun_it_is_too_late() -> None:
    found = child("""
threading.Thread(target=threading.Event().wait, daemon=True).start()
answer(said=told(lambda: drop("nobody")), uid=os.getuid())
""")
    assert "before threads run" in found["said"]
    assert found["uid"] == 0


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize(("user", "by", "accepted"), [
    ("no-such-user", "", "a user of this machine"),
    ("daemon", 'become("nobody"); ', "start it as root"),
    ("nobody", "sys.executable = '/proc/1/exe'; ", "may run /proc/1/exe"),
])  # fmt: skip
def test_users_that_one_cannot_become(user: str, by: str, accepted: str) -> None:
    said = child(f"{by}answer(said=told(lambda: drop({user!r})))")["said"]
    assert said.startswith(f"UsageError: --user: {user} cannot be used")
    assert accepted in said


@pytest.mark.usefixtures("root")
@pytest.mark.parametrize("source", [["-i", "lo"], ["--nflog", "5"]])
def test_the_command_gives_up_in_its_one_thread_before_it_knows_a_home(
    source: list[str], tmp_path: Path
) -> None:
    """More threads would keep their privileges, and machine code would be kept for the wrong user."""
    found = child(
        f"""
from halfopen.cli.main import main
from halfopen.sensor import privileges

def give_up(user):
    early = [name for name in ("pyarrow", "halfopen.jit") if name in sys.modules]
    answer(user=user, threads=len(status()), early=early)
    sys.exit()

privileges.drop = give_up
main(["sense", "--user", "nobody", "--data", "{tmp_path}", *{source}])
""",
        "unshare", "--net", OPENBLAS_NUM_THREADS="4",
    )  # fmt: skip
    assert found == {"user": "nobody", "threads": 1, "early": []}
