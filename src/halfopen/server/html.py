"""Pages for readers: HTML without scripts, and a policy that lets nothing in but the page's own style."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape
from typing import Final

from starlette.responses import Response

_STYLE: Final = (
    ":root{color-scheme:light dark;--line:#8886;--soft:#8881}"
    "body{font:1em/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;overflow-wrap:anywhere}"
    "h1,h2,h3{line-height:1.25}h2{margin-top:2.5em}nav h3,h4{margin-bottom:.2em}"
    "article{border-top:1px solid var(--line);padding:.5em 0}footer{opacity:.75}"
    "code{font-family:ui-monospace,monospace;font-size:.9em;background:var(--soft);border-radius:.2em;padding:.1em .2em}"
    "dt{margin-top:.6em}dd{margin-left:1.5em}dd p{margin:0}small{opacity:.75}"
    "ul{padding-left:1.5em}nav ul{list-style:none;padding:0;margin:0}nav li{padding:.2em 0}"
    "details>code{display:block;font-size:.8em}"
)
_POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


def page(title: str, body: str) -> Response:
    """A page; `title` is text, `body` is HTML in which all that anybody wrote is escaped."""
    text = (
        '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body>\n<h1>{escape(title)}</h1>\n{body}\n</body>\n</html>\n"
    )
    return Response(text, headers=_HEADERS, media_type="text/html")
