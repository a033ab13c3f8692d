"""Pages out of templates, and the policy that they are sent with: nothing but what this server serves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import Response

from halfopen.dashboard import words
from halfopen.dashboard.assets import Assets

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
}


def attached(name: str) -> dict[str, str]:
    """Headers of a file that a browser keeps under this name."""
    return dict(HEADERS) | {"content-disposition": f'attachment; filename="halfopen-{name}"'}


class Templates:
    """The templates of the pages. What anybody wrote is escaped in all of them."""

    def __init__(self, assets: Assets) -> None:
        self._environment = Environment(
            loader=PackageLoader("halfopen.dashboard"), autoescape=True, undefined=StrictUndefined,
            trim_blocks=True, lstrip_blocks=True,
        )  # fmt: skip
        self._environment.globals["asset"] = assets.path
        self._environment.filters |= words.FILTERS

    def page(self, name: str, told: Mapping[str, Any], status: int = 200) -> Response:
        """The page that a template makes of what it is told."""
        text = self._environment.get_template(name).render(told)
        return Response(text, status, dict(HEADERS), media_type="text/html")
