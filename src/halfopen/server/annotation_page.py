"""The page of annotations that answers link to, open to everybody."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from starlette.responses import Response

from halfopen.radar.annotations import Annotation, nameless_annotation
from halfopen.radar.notes import Note
from halfopen.radar.windows import stamp
from halfopen.server.html import page
from halfopen.store.query import Befallen


def annotation_page(notes: Sequence[Note], of_sensors: Iterable[Befallen]) -> Response:
    """The page, the newest first. Neither tags nor names of sensors are shown."""
    told = [(f' id="annotation-{escape(note.id)}"', note.annotation) for note in notes]
    told += [("", nameless_annotation(each)) for each in of_sensors]
    told.sort(key=lambda each: each[1].start, reverse=True)
    shown = "\n".join(_article(*each) for each in told) or "<p>There are none.</p>"
    words = "<p>What happened to the data of this installation; times are UTC.</p>"
    return page("Annotations", f"{words}\n{shown}")


def _article(identified: str, told: Annotation) -> str:
    concerned = ", ".join([*told.locations, *(f"AS{asn}" for asn in told.asns)]) or "everything"
    link = ""
    if told.linked_url:
        url = escape(told.linked_url)
        link = f'<p><a href="{url}" rel="nofollow noopener noreferrer">{url}</a></p>'
    return (
        f"<article{identified}><h2>{_when(told)}</h2><p>{escape(told.description)}</p>{link}"
        f"<footer>{escape(told.event_type)}, {escape(told.data_source)}; concerns {escape(concerned)}"
        "</footer></article>"
    )


def _when(told: Annotation) -> str:
    if told.is_instantaneous:
        return stamp(told.start)
    return (
        f"{stamp(told.start)} to {stamp(told.end)}" if told.end is not None else f"since {stamp(told.start)}"
    )
