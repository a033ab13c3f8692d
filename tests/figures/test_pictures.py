"""Pictures are pictures, pages stand alone, and what cannot be drawn is said."""

from __future__ import annotations

import re
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

import altair
import pytest

from halfopen import figures
from halfopen.errors import HalfopenError
from halfopen.figures import themed
from halfopen.figures.theme import CUT_COLOUR

Pixel = tuple[int, int, int]
Charts = Mapping[str, altair.TopLevelMixin]

ROW: Final = {
    "code": 64500, "name": "", "connections": 9, "cut": 3, "share": 33.3, "low": 12, "high": 41
}  # fmt: skip


def test_nothing_is_imported_from_where_the_command_was_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vl_convert.py").write_text("raise SystemExit('from here')")
    monkeypatch.chdir(tmp_path)
    assert figures.picture(themed(figures.affected([ROW]), dark=False), "svg").startswith(b"<svg")


def colours(png: bytes) -> tuple[int, int, Counter[Pixel]]:
    """Width, height and how many pixels have each colour, of an RGB or RGBA picture of 8 bits a channel."""
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    at, data, head = 8, b"", b""
    while at < len(png):
        length, kind = int.from_bytes(png[at : at + 4], "big"), png[at + 4 : at + 8]
        body = png[at + 8 : at + 8 + length]
        head, data = (body if kind == b"IHDR" else head), data + (body if kind == b"IDAT" else b"")
        at += length + 12
    width, height, depth, kind_of = (
        int.from_bytes(head[:4], "big"),
        int.from_bytes(head[4:8], "big"),
        head[8],
        head[9],
    )
    assert (depth, kind_of) in ((8, 2), (8, 6))
    size = 3 if kind_of == 2 else 4
    found: Counter[Pixel] = Counter()
    for row in unfiltered(zlib.decompress(data), width * size, size):
        found.update(zip(row[0::size], row[1::size], row[2::size], strict=True))
    return width, height, found


def unfiltered(raw: bytes, length: int, size: int) -> Iterator[bytearray]:
    """The rows of a picture without their filters (PNG, section 9)."""
    above = bytearray(length)
    for begin in range(0, len(raw), length + 1):
        kind, row = raw[begin], bytearray(raw[begin + 1 : begin + 1 + length])
        for place in range(length):
            left, up = (row[place - size] if place >= size else 0), above[place]
            corner = above[place - size] if place >= size else 0
            near = left + up - corner
            paeth = min(
                (abs(near - left), 0, left), (abs(near - up), 1, up), (abs(near - corner), 2, corner)
            )[2]
            row[place] = (row[place] + (0, left, up, (left + up) // 2, paeth)[kind]) % 256
        yield row
        above = row


def rgb(colour: str) -> Pixel:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


@pytest.mark.parametrize("dark", [False, True])
def test_a_png_has_its_size_and_its_colours(dark: bool) -> None:
    spec = themed(figures.affected([ROW]), dark)
    width, height, found = colours(figures.picture(spec, "png"))
    assert width == 2 * 960
    assert height > 2 * spec["height"]
    ((most, count),) = found.most_common(1)
    assert most == rgb(spec["usermeta"]["background"])
    assert 0.5 * width * height < count < 0.99 * width * height
    assert found[rgb(CUT_COLOUR)] > 100


def test_an_svg_has_the_words(charts: Charts) -> None:
    tree = ElementTree.fromstring(figures.picture(themed(charts["stages"], dark=False), "svg"))
    assert tree.tag == "{http://www.w3.org/2000/svg}svg"
    words = " ".join("".join(each.itertext()) for each in tree.iter("{http://www.w3.org/2000/svg}text"))
    assert "connections were cut" in words
    assert "after the handshake" in words


def test_a_page_needs_nothing_else(charts: Charts) -> None:
    page = figures.page(themed(charts["stages"], dark=True), "What </title> <script> says")
    assert "<title>What &lt;/title&gt; &lt;script&gt; says</title>" in page
    assert page.count("</script>") == 2
    assert not re.search(r"(src|href)=", page.partition("<script>")[0])
    assert "default-src 'none'" in page


def test_words_from_outside_cannot_end_the_script() -> None:
    row = ROW | {"name": "</script><script>alert(1)"}
    page = figures.page(themed(figures.affected([row]), dark=False), "x")
    assert page.count("</script>") == 2


def test_the_script_is_made_once() -> None:
    assert figures.bundle() is figures.bundle()
    assert "drawFigure" in figures.bundle()
    assert "</script" not in figures.bundle()


@pytest.mark.parametrize(
    ("kind", "words"), [("gif", "gif is not png, svg or script"), ("png", "could not be drawn")]
)
def test_what_cannot_be_drawn_is_said_in_a_line(charts: Charts, kind: str, words: str) -> None:
    spec = themed(charts["blank"], dark=False)
    with pytest.raises(HalfopenError, match=words) as error:
        figures.picture(spec | ({"mark": "nothing of the kind"} if kind == "png" else {}), kind)
    assert "\n" not in str(error.value)


def test_a_picture_fetches_nothing(charts: Charts) -> None:
    spec = themed(charts["blank"], dark=False)
    del spec["datasets"]
    with pytest.raises(HalfopenError, match="could not be drawn"):
        figures.picture(spec | {"data": {"url": "http://127.0.0.1:9/x.json"}}, "svg")


LEAN = """
import sys
import halfopen, halfopen.figures
from halfopen.cli.main import main
main(["classify", "--summary", sys.argv[1]])
print(sorted({"altair", "vl_convert"} & set(sys.modules)), file=sys.stderr)
"""


def test_who_draws_nothing_does_not_load_altair() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LEAN, "captures/matrix/ack_rst.pcap"],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert done.stderr.splitlines()[-1] == "[]"
