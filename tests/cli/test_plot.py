"""`halfopen plot`: figures of captures and of the dataset, as pages and pictures."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from halfopen import figures
from halfopen.cli import plot
from halfopen.radar.annotations import Annotation
from halfopen.radar.notes import Notes
from halfopen.store.committer import Batch
from halfopen.store.store import Store
from tests.cli.conftest import Ran
from tests.radar.memory import at
from tests.store.rows import row, table

Run = Callable[..., Ran]

WINDOW = ("--where", "dateStart=2026-01-05", "--where", "dateEnd=2026-01-06")
"""The day of the dataset."""
BEGIN = at("2026-01-05T00:00:00Z")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of a day, a third of it cut, and a note about it."""
    data = tmp_path_factory.mktemp("data")
    with closing(Store(data / "store", create=True)) as store:
        rows = [
            row(
                BEGIN + 60 * place, client_port=place, stage=int(place % 3 == 0), signature=int(place % 3 == 0),
                tags=0, asn=64500 + place % 2, location="DE" if place % 2 else "SG", continent="EU",
            )
            for place in range(1440)
        ]  # fmt: skip
        committer = store.committer()
        committer.commit([Batch("web-1", "one", 1, BEGIN + 2 * 86400, table(rows))])
        committer.follow()
    Notes(data).add(Annotation("Release 4.2 went out.", BEGIN + 3600, BEGIN + 7200))
    return data


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The specifications that are drawn; the pictures themselves are looked at elsewhere."""
    found: list[dict[str, Any]] = []

    def picture(spec: dict[str, Any], kind: str) -> bytes:
        found.append(spec)
        return kind.encode()

    monkeypatch.setattr(figures, "picture", picture, raising=False)
    return found


@pytest.mark.parametrize("figure", [name for name in plot.FIGURES if name != "comparison"])
def test_each_figure_of_captures(
    captures: Path, tmp_path: Path, halfopen: Run, drawn: list[Any], figure: str
) -> None:
    out = tmp_path / "x.png"
    ran = halfopen("plot", figure, captures, "--places", "captures/places", "-o", out)
    assert (ran.code, ran.out) == (0, ""), ran.err
    assert "21 connections: 18 decided" in ran.err
    assert out.read_bytes() == b"png"
    assert len(drawn) == 1
    assert drawn[0]["usermeta"]["dark"] is False


@pytest.mark.parametrize("figure", plot.FIGURES)
def test_each_figure_of_the_dataset(
    data: Path, tmp_path: Path, halfopen: Run, drawn: list[Any], figure: str
) -> None:
    ran = halfopen("plot", figure, "--data", data, *WINDOW, "--dark", "-o", tmp_path / "x.SVG")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert drawn[0]["usermeta"]["dark"] is True


def test_stages_of_the_dataset_are_what_was_asked_for(
    data: Path, tmp_path: Path, halfopen: Run, drawn: list[Any]
) -> None:
    for where, words in (
        ((), "33.3 % of 1,440 connections were cut"),
        (("--where", "location=DE"), "33.3 % of 720 connections were cut"),
    ):
        assert halfopen("plot", "stages", "--data", data, *WINDOW, *where, "-o", tmp_path / "x.png").code == 0
        assert drawn[-1]["description"].startswith(f"{words}, from ")
    assert "Release 4.2 went out." in str(drawn[-1]["datasets"])


def test_a_picture_and_a_page_are_really_made(captures: Path, tmp_path: Path, halfopen: Run) -> None:
    for name, begin in (("x.svg", b"<svg"), ("x.html", b"<!doctype html>")):
        ran = halfopen("plot", "stages", captures / "one.pcap", "-o", tmp_path / name)
        assert ran.code == 0, ran.err
        assert (tmp_path / name).read_bytes().startswith(begin)


def test_what_is_damaged_is_told_and_the_rest_drawn(
    captures: Path, damaged: Path, tmp_path: Path, halfopen: Run, drawn: list[Any]
) -> None:
    ran = halfopen("plot", "stages", captures / "one.pcap", damaged, "-o", tmp_path / "x.png")
    assert ran.code == 0
    assert "cut.pcap: at byte" in ran.err
    assert len(drawn) == 1


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (("stages", "one.pcap", "-o", "x.jpg"), 2, "-o: x.jpg cannot be used; accepted: a name that ends in .html, .png, .svg"),
        (("pie", "one.pcap", "-o", "x.png"), 2, "invalid choice: 'pie'"),
        (("comparison", "one.pcap", "-o", "x.png"), 2, "FIGURE: comparison cannot be used"),
        (("stages", "one.pcap", "--where", "dateRange=7d", "-o", "x.png"), 2, "--where: beside captures cannot be used"),
        (("stages", "one.pcap", "--data", "here", "-o", "x.png"), 2, "--data: beside captures cannot be used"),
        (("stages", "nowhere.pcap", "-o", "x.png"), 1, "halfopen: nothing was readable\n"),
        (("stages", "--where", "when=now", "-o", "x.png"), 2, "--where: when=now cannot be used; accepted: NAME=VALUE, with one of the names dateRange"),
        (("stages", "--where", "location=xx1", "-o", "x.png"), 2, "--where location: xx1 cannot be used; accepted: an ISO 3166-1 alpha-2 code"),
        (("stages", "--where", "dateRange=7d", "--where", "dateRange=1d", "-o", "x.png"), 2, "--where dateRange: 7d cannot be used; accepted: one value"),
        (("stages", "--joined", "-o", "x.png"), 2, "--joined: without captures cannot be used"),
    ],
)  # fmt: skip
def test_what_cannot_be_used(
    data: Path,
    captures: Path,
    tmp_path: Path,
    halfopen: Run,
    monkeypatch: pytest.MonkeyPatch,
    argv: tuple[str, ...],
    code: int,
    words: str,
) -> None:
    monkeypatch.chdir(captures)
    beside = () if any(each.endswith(".pcap") for each in argv) else ("--data", data)
    ran = halfopen("plot", *argv, *beside)
    assert ran.code == code, ran.err
    assert "Traceback" not in ran.err
    assert words in ran.err
    assert not (captures / "x.png").exists()


def test_without_a_dataset_the_way_to_one_is_told(tmp_path: Path, halfopen: Run) -> None:
    ran = halfopen("plot", "stages", "--data", tmp_path / "data", "-o", tmp_path / "x.png")
    assert ran.code == 1
    assert "nothing was ingested yet (halfopen ingest FILE)" in ran.err
