"""What systemd does for a unit with `User=` and `AmbientCapabilities=`, done by a process to itself."""

from __future__ import annotations

import ctypes
import os
import pwd

_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_VERSION_3 = 0x20080522


def become(user: str, *capabilities: int) -> None:
    """Leave root for `user`, and keep these capabilities only."""
    libc = ctypes.CDLL(None, use_errno=True)
    entry = pwd.getpwnam(user)
    assert libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0
    os.setgroups([])
    os.setresgid(*[entry.pw_gid] * 3)
    os.setresuid(*[entry.pw_uid] * 3)
    kept = sum(1 << capability for capability in capabilities)
    sets = (ctypes.c_uint32 * 6)(kept, kept, kept)  # effective, permitted, inheritable
    assert libc.capset((ctypes.c_uint32 * 2)(_VERSION_3, 0), sets) == 0
    for capability in capabilities:
        assert libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0) == 0
