"""Annotations that are kept: durable, whole, seen by others at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from halfopen.errors import StoreError, UsageError
from halfopen.radar.annotations import Annotation
from halfopen.radar.notes import NAME, Notes

FULL = Annotation(
    "Router <replaced>", 100, 200, "HTTP", "EVENT", True, "https://x.example/", ("a",), ("PT",), (64500,)
)


def test_what_is_written_is_seen_by_a_reader_that_is_open(tmp_path: Path) -> None:
    reader, writer = Notes(tmp_path), Notes(tmp_path)
    assert reader.all() == ()
    first = writer.add(FULL)
    assert reader.all() == (first,)
    assert reader.all()[0].annotation == FULL
    second = writer.add(Annotation("Goes on", 300))
    assert reader.all() == (first, second)
    assert writer.remove(first.id)
    assert not writer.remove(first.id)
    assert reader.all() == (second,)


def test_an_id_is_given_once(tmp_path: Path) -> None:
    notes = Notes(tmp_path)
    first = notes.add(FULL)
    notes.remove(first.id)
    assert notes.add(FULL).id != first.id


def test_what_was_written_for_a_capture_goes_together(tmp_path: Path) -> None:
    notes = Notes(tmp_path)
    own = notes.add(FULL)
    notes.add(Annotation("Moved", 1), about="abc")
    other = notes.add(Annotation("Moved", 1), about="def")
    again = notes.add(Annotation("Moved", 2), about="abc")
    assert notes.remove_about("abc", but=again.id)
    assert notes.all() == (own, other, again)
    assert not notes.remove_about("abc", but=again.id)
    assert notes.remove_about("abc")
    assert notes.all() == (own, other)


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as writers:
        made = list(writers.map(lambda number: Notes(tmp_path).add(Annotation("x", number)), range(40)))
    assert len({note.id for note in made}) == 40
    assert {note.annotation.start for note in Notes(tmp_path).all()} == set(range(40))


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"[]",
        b"\xff",
        b'{"notes": [{"id": "1", "annotation": {"description": "x"}}]}',
        b'{"notes": [{"id": "1", "annotation": {"description": "x", "start": 1, "event_type": "NEWS"}}]}',
        b'{"notes": [{"id": "1", "annotation": {"description": "x", "start": 1, "linked_url": "javascript:1"}}]}',
    ],
)
def test_a_damaged_file_is_told_and_left_as_it_is(tmp_path: Path, text: bytes) -> None:
    (tmp_path / NAME).write_bytes(text)
    for use in (Notes(tmp_path).all, lambda: Notes(tmp_path).add(FULL)):
        with pytest.raises(StoreError, match=NAME):
            use()
    assert (tmp_path / NAME).read_bytes() == text


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)", "/page", "https://", "http://a b/", "http://[", "x", 'https://example.com/"onx=', "https://a/<b>",
        "https://a/%zz", "https://a/#b#c", "https://a:x/", "https://exämple.com/", "https://a/\\b", "https://a/\n", "https://a/[b]",
    ],
)  # fmt: skip
def test_a_link_is_an_absolute_url_of_the_web(link: str) -> None:
    with pytest.raises(UsageError, match="linkedUrl"):
        Annotation("x", 1, linked_url=link)


@pytest.mark.parametrize(
    "link",
    [
        "https://example.com", "HTTP://a.example:8080/b/c?d=e&f=%C3%A4;g#h?i", "https://[2001:db8::1]:443/", "https://me@a.example?x",
    ],
)  # fmt: skip
def test_a_url_is_a_link(link: str) -> None:
    assert Annotation("x", 1, linked_url=link).record(1, "")["linkedUrl"] == link
