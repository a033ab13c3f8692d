"""D12: a signature is a pattern, evidence is a fact, and no verdict says more."""

from __future__ import annotations

import re
from typing import Final

from tests.house.project import ROOT, modules, pages

VERDICTS: Final = re.compile(r"\b(attack(s|ed|er|ers)?|censored(?! Planet\b)|tampered)\b", re.IGNORECASE)
"""Censored Planet is the name of a project."""
SAYING_SO: Final = {
    "README.md": "Not a detector of attacks or of censorship.",
    "docs/glossary.md": "no verdict here is called an attack, censored or tampered.",
}
"""The sentences that say that these words are not used."""


def test_no_verdict_says_more_than_a_pattern() -> None:
    found = []
    texts = [*modules(), *((page, page.read_text()) for page in pages())]
    for path, text in texts:
        name = str(path.relative_to(ROOT))
        kept = " ".join(text.split()).replace(SAYING_SO.get(name, "\0"), "")
        found += [f"{name}: {match[0]}" for match in VERDICTS.finditer(kept)]
    assert found == []


def test_rooms_are_nouns_and_modules_are_small() -> None:
    for path, text in modules():
        assert path.stem not in {"utils", "util", "helpers", "common", "manager", "misc"}
        assert text.count("\n") <= 500, f"{path.relative_to(ROOT)} is to be split"
