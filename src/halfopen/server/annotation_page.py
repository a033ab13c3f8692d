"""The page of annotations that answers link to: HTML for readers, open to everybody, without scripts."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from html import escape
from typing import Final

from starlette.responses import Response

from halfopen.radar.annotations import Annotation
from halfopen.radar.notes import Note
from halfopen.radar.windows import stamp

_STYLE: Final = (
    "body{font:1em/1.5 sans-serif;max-width:50em;margin:2em auto;padding:0 1em}"
    "article{border-top:1px solid #888;overflow-wrap:anywhere}footer{color:#666}"
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


def page(notes: Sequence[Note]) -> Response:
    """The page, the newest first. Tags are not shown: they may name sensors."""
    newest = sorted(notes, key=lambda note: note.annotation.start, reverse=True)
    shown = "\n".join(_article(note) for note in newest) or "<p>There are none.</p>"
    text = (
        '<!DOCTYPE html>\n<html lang="en">\n<head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>Annotations</title><style>{_STYLE}</style></head>\n"
        "<body>\n<h1>Annotations</h1>\n<p>What happened to the data of this installation; times are UTC.</p>\n"
        f"{shown}\n</body>\n</html>\n"
    )
    return Response(text, headers=_HEADERS, media_type="text/html")


def _article(note: Note) -> str:
    told = note.annotation
    concerned = ", ".join([*told.locations, *(f"AS{asn}" for asn in told.asns)]) or "everything"
    link = ""
    if told.linked_url:
        url = escape(told.linked_url)
        link = f'<p><a href="{url}" rel="nofollow noopener noreferrer">{url}</a></p>'
    return (
        f'<article id="annotation-{escape(note.id)}"><h2>{_when(told)}</h2><p>{escape(told.description)}</p>{link}'
        f"<footer>{escape(told.event_type)}, {escape(told.data_source)}; concerns {escape(concerned)}"
        "</footer></article>"
    )


def _when(told: Annotation) -> str:
    if told.is_instantaneous:
        return stamp(told.start)
    return (
        f"{stamp(told.start)} to {stamp(told.end)}" if told.end is not None else f"since {stamp(told.start)}"
    )
