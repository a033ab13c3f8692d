"""What a sensor needs of the operating system, for as long as it opens its sockets, and how it gives that up.

Capabilities belong to threads (capabilities(7)), so they are given up while there is only one: sockets are
opened, `drop` is called, and only then is imported what starts threads (pyarrow) or keeps files in the
user's home (`halfopen.jit`). This module needs nothing but the standard library.
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Final

from halfopen.errors import PrivilegeError, UsageError

_THREADS: Final = Path("/proc/self/task")

# <linux/prctl.h> and <linux/capability.h>
_PR_SET_PDEATHSIG: Final = 1
_PR_GET_PDEATHSIG: Final = 2
_PR_CAPBSET_DROP: Final = 24
_PR_SET_NO_NEW_PRIVS: Final = 38
_PR_CAP_AMBIENT: Final = 47
_PR_CAP_AMBIENT_LOWER: Final = 3
_PR_CAP_AMBIENT_CLEAR_ALL: Final = 4
_CAPABILITY_VERSION_3: Final = 0x20080522


class Capability(IntEnum):
    """Numbers of <linux/capability.h>."""

    CAP_NET_ADMIN = 12
    CAP_NET_RAW = 13


def held(capability: Capability) -> bool:
    """Whether this thread has a capability, in the user namespace it runs in."""
    status = _status(Path("/proc/thread-self"))
    return bool(int(status["CapEff"], 16) >> capability & 1)


@contextmanager
def opening(what: str, needed: Capability) -> Iterator[None]:
    """A block that opens `what`; where the system forbids it, a PrivilegeError says what is missing and how to give it."""
    try:
        yield
    except PermissionError:
        name = needed.name
        if held(needed):
            raise PrivilegeError(
                f"{what} needs {name}; this process has it, but not for this network (it belongs to another user namespace), "
                "or a filter of system calls forbids its use"
            ) from None
        raise PrivilegeError(
            f"{what} needs {name}, which this process lacks. Three ways to give it: "
            "(1) start as root with --user NAME: it opens what it needs, then becomes NAME, without capabilities; "
            f"(2) a systemd unit with AmbientCapabilities={name}, such as packaging/systemd/halfopen-sense.service; "
            "(3) to try it out, `unshare --map-root-user --net`, which sees only the network made inside. "
            "Give no capabilities to the file of the Python interpreter: every program in Python would have them"
        ) from None


def drop(user: str | None = None) -> None:
    """Become `user`, if one is given, and lose all capabilities for ever; called when the sockets are open.

    Raises UsageError where the user is unknown, cannot run this program, or this process may not become it; PrivilegeError where more than one
    thread runs or a capability would remain.
    """
    if len(list(_THREADS.iterdir())) > 1:
        raise PrivilegeError("privileges can only be given up before threads run, and one runs already")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    _empty_bounding_set(libc)
    if user is not None:
        _become(user)
    _must(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")
    _must(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0), "ambient capabilities")
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    _must(libc.capset(header, (ctypes.c_uint32 * 6)()), "capabilities")
    for thread in _THREADS.iterdir():
        status = _status(thread)
        left = [name for name in ("CapInh", "CapPrm", "CapEff", "CapAmb") if int(status[name], 16)]
        if left or status["NoNewPrivs"] != "1":
            raise PrivilegeError(
                f"privileges could not be given up: {', '.join(left) or 'NoNewPrivs'} is left"
            )


def leave(user: str | None = None) -> None:
    """Become `user`, if one is given, and hand none of a sensor's capabilities on: for what runs beside it, before its program begins.

    UsageError where the user is unknown, or this process may not become it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    for each in Capability:
        _must(libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_LOWER, each, 0, 0), each.name)
    if user is not None:
        _become(user)


def end_with(parent: int) -> None:
    """Let the kernel send this process SIGTERM once the process `parent`, which has just begun it, ends, even by SIGKILL.

    It lasts through an exec and through `drop`. The kernel means the thread that began it: that has to be the main one.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
    _must(libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0), "life without its parent")
    if os.getppid() != parent:  # it ended before, and nothing was begun yet
        os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def _ending_with_its_parent() -> Iterator[None]:
    """A block in which the user changes, by which the kernel forgets what `end_with` asked for."""
    libc = ctypes.CDLL(None, use_errno=True)
    before, parent = ctypes.c_int(), os.getppid()
    _must(libc.prctl(_PR_GET_PDEATHSIG, ctypes.byref(before)), "life without its parent")
    yield
    if before.value:
        end_with(parent)


def _empty_bounding_set(libc: ctypes.CDLL) -> None:
    """So that no program run later could have any; where this is not allowed, no_new_privs alone sees to it."""
    capability = 0
    while not libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0):
        capability += 1
    if ctypes.get_errno() not in (errno.EINVAL, errno.EPERM):  # EINVAL: beyond the last capability there is
        _must(-1, "bounding set")


def _become(user: str) -> None:
    import pwd  # Unix only

    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise UsageError("--user", user, "a user of this machine") from None
    try:
        with _ending_with_its_parent():
            os.initgroups(user, entry.pw_gid)
            os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
            os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    except OSError:
        raise UsageError("--user", user, "a user that this process may become: start it as root") from None
    for file, way, may in (
        (sys.executable, os.X_OK, "run"),
        (os.__file__, os.R_OK, "read"),
        (__file__, os.R_OK, "read"),
    ):
        if not os.access(file, way):  # as in a virtual environment in root's home
            raise UsageError("--user", user, f"a user who may {may} {file}, where this program is")
    os.environ.update(HOME=entry.pw_dir, USER=user, LOGNAME=user)


def _must(result: int, what: str) -> None:
    if result:
        raise PrivilegeError(f"{what} could not be given up: {os.strerror(ctypes.get_errno())}")


def _status(thread: Path) -> dict[str, str]:
    """The fields of a thread's `status` (proc(5))."""
    lines = (thread / "status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
