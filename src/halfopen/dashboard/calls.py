"""The same as an API call: what a page asks, for a shell and for Python."""

from __future__ import annotations

from collections.abc import Sequence
from shlex import quote
from typing import Any, TypeAlias

from halfopen.dashboard.asked import Asked
from halfopen.dashboard.asking import Asking, Query
from halfopen.dashboard.views import RESETS, View

Questions: TypeAlias = Sequence[tuple[str, Query]]
"""Paths below the API's prefix, each with its query."""


def calls(api: Asking, view: View, asked: Asked) -> dict[str, str]:
    """As `the_same`, of what a view asks."""
    return the_same(api, [(f"{RESETS}/{each.path}", each.query(asked)) for each in view.questions])


def the_same(api: Asking, questions: Questions) -> dict[str, str]:
    """What asks some questions, with curl and in Python; the token is taken from the environment."""
    return {
        "curl": "\n".join(_curl(api.url(path, query)) for path, query in questions),
        "python": _python(api.url(""), questions),
    }


def _curl(url: str) -> str:
    return f'curl -H "Authorization: Bearer $HALFOPEN_TOKEN" {quote(url)}'


def _python(base: str, questions: Questions) -> str:
    lines = [
        "import os",
        "from cloudflare import Cloudflare",
        "",
        "client = Cloudflare(",
        f'    base_url="{base.removesuffix("/")}",',
        '    api_token=os.environ["HALFOPEN_TOKEN"],',
        ")",
    ]
    for path, query in questions:
        lines += [
            "result = client.get(",
            f'    "{path}",',
            "    cast_to=object,",
            *([f'    options={{"params": {_listed(query)}}},'] if query else []),
            ")",
            "print(result)",
        ]
    return "\n".join(lines)


def _listed(query: Query) -> dict[str, Any]:
    """Parameters by name; a list where there are several of a name."""
    found: dict[str, Any] = {}
    for name, value in query:
        found[name] = value if name not in found else [*_list(found[name]), value]
    return found


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
