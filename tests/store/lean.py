"""Import this in a process of its own: pandas is kept out of it.

Arrow imports pandas where there is one: two seconds of a start, for nothing that the store needs.
"""

from __future__ import annotations

import sys
from typing import Any


class _NoPandas:
    def find_spec(self, name: str, *_: Any) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name)


sys.meta_path.insert(0, _NoPandas())
