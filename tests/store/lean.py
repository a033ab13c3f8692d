"""Import this in a process of its own: pandas is kept out of it."""

from __future__ import annotations

import sys

from halfopen.lean import WithoutPandas

sys.meta_path.insert(0, WithoutPandas())
