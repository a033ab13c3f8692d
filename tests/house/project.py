"""Where the project's files lie, for tests of the project itself."""

from __future__ import annotations

import re
import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
DOCS: Final = ROOT / "docs"


def modules() -> Iterator[tuple[Path, str]]:
    """Every module of the package, and its text."""
    for path in sorted((ROOT / "src").rglob("*.py")):
        yield path, path.read_text()


def pages() -> list[Path]:
    """Every page written for readers."""
    return [page for folder in (ROOT, DOCS, ROOT / "packaging") for page in sorted(folder.glob("*.md"))]


def script(name: str) -> dict[str, Any]:
    """What a file of scripts/ defines; it may import its neighbours, as when it is run."""
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        return runpy.run_path(str(ROOT / "scripts" / name))
    finally:
        sys.path.pop(0)


def code(page: Path, language: str) -> list[str]:
    """The blocks of code in one language that a page shows."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
