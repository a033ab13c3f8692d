"""Charts out of answers of the API: one function for each, which the dashboard, `halfopen plot` and notebooks share.

Charts are Altair's and show themselves in a notebook; `themed` makes a specification of one, which `picture` and `page` draw, and
the `bundle` in a page. Altair takes a second to be imported, so each name is loaded when it is first asked for; no module
is called like one of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from halfopen.figures.most_affected import affected as affected
    from halfopen.figures.now_and_before import comparison as comparison
    from halfopen.figures.of_dataset import OfDataset as OfDataset
    from halfopen.figures.of_table import OfTable as OfTable
    from halfopen.figures.over_time import stages_over_time as stages_over_time
    from halfopen.figures.patterns import signatures as signatures
    from halfopen.figures.pictures import bundle as bundle
    from halfopen.figures.pictures import page as page
    from halfopen.figures.pictures import picture as picture
    from halfopen.figures.pictures import style as style
    from halfopen.figures.theme import themed as themed
    from halfopen.figures.world_map import world as world

_MODULES: Final = {
    "OfDataset": "of_dataset", "OfTable": "of_table",
    "affected": "most_affected", "comparison": "now_and_before", "stages_over_time": "over_time", "page": "pictures",
    "picture": "pictures", "bundle": "pictures", "style": "pictures", "signatures": "patterns", "themed": "theme",
    "world": "world_map",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(name)
    return getattr(import_module(f"halfopen.figures.{_MODULES[name]}"), name)
