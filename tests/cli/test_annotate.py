"""`halfopen annotate`, and what `halfopen ingest --shift-end now` writes."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from halfopen.errors import StoreError
from halfopen.pipeline import Judge
from halfopen.radar.notes import NAME, Note, Notes
from halfopen.store.committer import Committer
from halfopen.store.store import Store
from halfopen.store.upkeep import Upkeep
from tests.cli.conftest import Ran, capture_bytes
from tests.radar.memory import at

Run = Callable[..., Ran]


def test_written_listed_removed(halfopen: Run, tmp_path: Path) -> None:
    made = halfopen(
        "annotate", "Router  replaced", "--data", tmp_path, "--from", "2026-08-10", "--to", "2026-08-10T02:07:09+01:00",
        "--asn", "64500", "--location", "pt", "--location", "PT", "--tag", "ours", "--link", "https://x.example/a",
        "--source", "http", "--type", "OUTAGE",
    )  # fmt: skip
    assert (made.code, made.out) == (0, "1\n")
    (note,) = Notes(tmp_path).all()
    told = note.annotation
    assert told.description == "Router replaced"
    assert (told.start, told.end) == (at("2026-08-10"), at("2026-08-10T01:00:00Z") + 429)
    assert (told.data_source, told.event_type, told.is_instantaneous) == ("HTTP", "OUTAGE", False)
    assert (told.asns, told.locations, told.tags) == ((64500,), ("PT",), ("ours",))
    assert told.linked_url == "https://x.example/a"
    listed = halfopen("annotate", "--list", "--data", tmp_path).out
    assert "Router replaced" in listed
    assert "PT, AS64500" in listed
    assert halfopen("annotate", "--remove", "1", "--data", tmp_path).code == 0
    assert Notes(tmp_path).all() == ()
    assert "--list shows" in halfopen("annotate", "--remove", "1", "--data", tmp_path).err


def test_without_options_it_begins_now_and_goes_on(halfopen: Run, tmp_path: Path) -> None:
    before = int(time.time())
    halfopen("annotate", "Something happens", "--data", tmp_path)
    told = Notes(tmp_path).all()[0].annotation
    assert before <= told.start <= time.time()
    assert (told.end, told.data_source, told.event_type) == (None, "CONNECTION_ANOMALY", "GENERAL")


def test_a_moment(halfopen: Run, tmp_path: Path) -> None:
    halfopen(
        "annotate", "x", "--from", "2026-08-10T10:00:01Z", "--to", "2026-08-10T10:00:01Z", "--data", tmp_path
    )
    assert Notes(tmp_path).all()[0].annotation.is_instantaneous


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "one of: a text, --list, --remove ID"),
        (["x", "--list"], "one of: a text"),
        (["--list", "--tag", "x"], "a text beside it"),
        ([" "], "printable characters"),
        (["a\x1bb"], "printable characters"),
        (["x" * 1001], "printable characters"),
        (["x", "--source", "PHONE"], "--source: PHONE cannot be used; accepted: ALL, AI_BOTS"),
        (["x", "--type", "NEWS"], "--type: NEWS cannot be used; accepted: GENERAL, OUTAGE"),
        (["x", "--asn", "0"], "--asn: 0 cannot be used"),
        (["x", "--location", "XX"], "--location: XX cannot be used"),
        (["x", "--link", "javascript:1"], "--link: javascript:1 cannot be used"),
        (
            ["x", "--link", 'https://x.example/"onx='],
            '--link: https://x.example/"onx= cannot be used; accepted: an absolute URL',
        ),
        (["x", "--from", "soon"], "--from: soon cannot be used"),
        (["x", "--from", "2026-08-10", "--to", "2026-08-09"], "--to: 2026-08-09 cannot be used"),
    ],
)
def test_what_cannot_be_written(halfopen: Run, tmp_path: Path, arguments: list[str], said: str) -> None:
    ran = halfopen("annotate", "--data", tmp_path, *arguments)
    assert (ran.code, ran.out) == (2, "")
    assert said in ran.err
    assert not (tmp_path / NAME).exists()


def test_a_capture_that_was_moved_says_so(halfopen: Run, tmp_path: Path) -> None:
    capture, data = tmp_path / "one.pcap", tmp_path / "data"
    capture.write_bytes(capture_bytes(0))
    ingest = ("ingest", capture, "--data", data, "--sensor", "edge")
    assert halfopen(*ingest, "--shift-end", "now").code == 0
    (note,) = Notes(data).all()
    told = note.annotation
    assert (told.event_type, told.tags, told.sensors) == ("PIPELINE", ("edge",), ("edge",))
    assert "sensor edge" in halfopen("annotate", "--list", "--data", data).out
    assert "was moved to this time" in told.description
    assert told.end is not None
    assert time.time() - 2 * 3600 - 1000 < told.start < told.end <= time.time()
    assert halfopen(*ingest, "--shift-end", "now").out.count("there already") == 1
    assert Notes(data).all() == (note,)
    assert halfopen(*ingest).code == 1  # refused: nothing was moved back
    assert Notes(data).all() == (note,)
    assert halfopen(*ingest, "--replace").code == 0
    assert Notes(data).all() == ()


def moved(halfopen: Run, tmp_path: Path) -> tuple[tuple[object, ...], Path, Note]:
    """How a capture was ingested, and was moved; where; and the note of it."""
    capture, data = tmp_path / "one.pcap", tmp_path / "data"
    capture.write_bytes(capture_bytes(0))
    ingest = ("ingest", capture, "--data", data, "--shift-end", "now")
    assert halfopen(*ingest).code == 0
    (note,) = Notes(data).all()
    return ingest, data, note


def test_the_mark_stays_where_connections_gone_by_age_keep_others_from_their_place(
    halfopen: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest, data, note = moved(halfopen, tmp_path)
    with closing(Store(data / "store")) as store:
        assert Upkeep(store.committer()).prune(-1, 86400).pruned
    monkeypatch.setattr(Judge, "run", lambda *_: pytest.fail("it is judged in vain"))
    refused = halfopen(*ingest, "--replace")
    assert (refused.code, "gone by retention" in refused.out) == (1, True)
    assert Notes(data).all() == (note,)


@pytest.mark.parametrize("how", [StoreError("here", "the disk is full"), KeyboardInterrupt()])
def test_rows_that_stay_keep_their_mark(
    halfopen: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: BaseException
) -> None:
    ingest, data, note = moved(halfopen, tmp_path)

    def fails(*_: object) -> None:
        raise how

    with monkeypatch.context() as patch:
        patch.setattr(Committer, "_without", fails)
        assert halfopen(*ingest, "--replace").code
    assert note in Notes(data).all()
    assert len(Notes(data).all()) == (1 if isinstance(how, StoreError) else 2)
    assert halfopen(*ingest, "--replace").code == 0
    (again,) = Notes(data).all()
    assert again.id > note.id
