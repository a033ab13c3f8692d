"""Data inside of a figure, as it is: Altair would copy and check each value of it whenever something of a chart is said."""

from __future__ import annotations

from typing import Any

import altair as alt
from altair.utils.schemapi import debug_mode


class _Values(alt.InlineDataset):
    """What Altair hands on unread."""

    def __init__(self, values: Any) -> None:
        with debug_mode(False):
            super().__init__(values)  # type: ignore[no-untyped-call]

    def __deepcopy__(self, _: Any) -> _Values:
        return self

    def to_dict(self, *_: Any, **__: Any) -> Any:
        """The values."""
        return self._args[0]


def inline(values: Any, data_format: Any = alt.Undefined) -> alt.InlineData:
    """Rows, or what else a format of data reads, as the data of a chart."""
    with debug_mode(False):
        return alt.InlineData(_Values(values), format=data_format)
