"""The commands that a page shows, as one script."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tests.house.project import code


def script(page: Path, left_out: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Every command of the blocks without a language, but for those that begin with a key of `left_out` (its value says why); behind
    those that begin with a key of `after` comes its value. A key that no command begins with is an error."""
    lines = re.findall(r"(?:.*\\\n)*.+", "\n".join(code(page, "")))
    unused = {*left_out, *after}
    found = []
    for line in lines:
        begins = {key for key in (*left_out, *after) if line.startswith(key)}
        unused -= begins
        if not begins & set(left_out):
            found += [line, *(after[key] for key in begins & set(after))]
    assert unused == set(), "not on the page any more"
    return "\n".join(found)
