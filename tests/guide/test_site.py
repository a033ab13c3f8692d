"""The pages become a site: every link and anchor leads somewhere, and nothing of another host is in it."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path

from tests.conftest import Require
from tests.house.project import DOCS, ROOT

FETCHED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
"""What a browser fetches by itself, and by which attribute."""


class Parts(HTMLParser):
    """Where a page has its parts from."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.places: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.places += [value or "" for name, value in attrs if name == FETCHED.get(tag)]


def test_the_site_is_made_without_a_warning_and_needs_no_other_host(tmp_path: Path, require: Require) -> None:
    parts = ("sphinx", "myst_parser", "furo")
    require(all(find_spec(part) for part in parts), "Sphinx, MyST and Furo (dependency group docs)")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-d", tmp_path / "read", "-c", DOCS, ROOT, tmp_path / "site"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    made = {path.stem: path.read_text() for path in (tmp_path / "site" / "docs").glob("*.html")}
    assert set(made) == {page.stem for page in DOCS.glob("*.md")}
    for text in made.values():
        assert [place for place in Parts(text).places if "//" in place] == []
    for style in (tmp_path / "site").rglob("*.css"):
        assert "url(http" not in style.read_text()
