"""How Sphinx makes a site of these pages, and of those beside docs/ that they lead to (`make docs`)."""

import re

from sphinx.application import Sphinx

project = html_title = "Halfopen"
extensions = ["myst_parser"]

# The source is the whole repository, so that links out of docs/ lead somewhere.
include_patterns = ["*.md", "docs/*.md", "packaging/*.md", "captures/places/*.md"]
exclude_patterns = [".*", "**/node_modules", "docs/_build"]
root_doc = "docs/index"
myst_heading_anchors = 4

html_theme = "furo"
html_copy_source = False
# Terminals and requests as they are seen, which no lexer of a language fits.
highlight_language = "none"


def with_contents(app: Sphinx, name: str, source: list[str]) -> None:
    """Give the index the tree of contents that Sphinx wants: its own lists, by their headings."""
    if name != root_doc:
        return
    for heading, entries in re.findall(r"^(\w.*):\n\n((?:- .*\n|  .*\n)+)", source[0], re.MULTILINE):
        pages = re.findall(r"\((\S+)\.md\)", entries)
        source[0] += "\n".join(["\n```{toctree}", ":hidden:", f":caption: {heading}", "", *pages, "```\n"])
    rest = ["README", "ARCHITECTURE", "CONTRIBUTING", "CHANGELOG", "SECURITY"]
    source[0] += "\n".join(
        ["\n```{toctree}", ":hidden:", ":caption: The project", "", *(f"/{each}" for each in rest)]
    )
    source[0] += "\n/packaging/README\n/captures/places/README\n```\n"


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", with_contents)
