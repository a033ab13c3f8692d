"""How many connections a process may hold at once: each is a file to the system."""

from __future__ import annotations

import resource


def allow(connections: int, others: int) -> int:
    """Have so many connections allowed, beside `others`, other files; gives how many are, fewer where the hard limit says so."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + others
    allowed = wanted if most == resource.RLIM_INFINITY else min(most, wanted)
    resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))
    return max(allowed - others, allowed // 2)
