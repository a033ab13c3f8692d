"""What is found by code and by name, and in which order: as a plain search through all entries finds it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfopen.radar.index import Index, Match, folded

ENTRIES = [
    ("64496", "Example Access"),
    ("64497", "Example Mobile"),
    ("644", "Accessible Inc."),
    ("CI", "Côte d'Ivoire"),
    ("AX", "Åland Islands"),
    ("US", "United States"),
    ("VI", "United States Virgin Islands"),
    ("ME", "Mobile"),
    ("1", ""),
]


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("644", ["644", "64496", "64497"]),
        ("6449", ["64496", "64497"]),
        ("example", ["64496", "64497"]),
        ("EXAMPLE  mobile!", ["64497"]),
        ("access", ["644", "64496"]),
        ("mobile", ["ME", "64497"]),
        ("me", ["ME"]),
        ("cote d`ivoire", ["CI"]),
        ("ivo", ["CI"]),
        ("aland", ["AX"]),
        ("ÅLAND ISLANDS", ["AX"]),
        ("united states", ["US", "VI"]),
        ("ample", ["64496", "64497"]),
        ("states united", []),
        ("1", ["1"]),
        ("", []),
        ("?!", []),
        ("\n", []),
        ("\t", []),
    ],
)
def test_who_is_found(text: str, codes: list[str]) -> None:
    index = Index(ENTRIES)
    assert [ENTRIES[match.entry][0] for match in index.find(text, len(codes) or 5)] == codes


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Deutsche Telekom AG", "deutsche telekom ag"),
        ("  A.S.  (Ltd_x) ", "a s ltd x"),
        ("Türkiye", "turkiye"),
        ("STRASSE straße", "strasse strasse"),
        ("ﬁbre ①", "fibre 1"),
        ("日本 ネット", "日本 ネット"),
        ("Łódź", "łodz"),
        ("...", ""),
    ],
)
def test_folding(text: str, words: str) -> None:
    assert folded(text) == words


@given(st.text(max_size=20))
def test_folding_again_changes_nothing(text: str) -> None:
    assert folded(folded(text)) == folded(text)


def rank(text: str, code: str, name: str) -> int | None:
    """How well an entry fits, in plain words."""
    if text == code:
        return 0
    if text == name:
        return 1
    if code.startswith(text) or name.startswith(text):
        return 2
    if f" {text}" in code or f" {text}" in name:
        return 3
    return 4 if text in code or text in name else None


few = st.text("ab1 é-", max_size=6)


@given(st.lists(st.tuples(few, few), max_size=12), few, st.integers(1, 15))
def test_the_best_are_found_in_their_order(entries: list[tuple[str, str]], text: str, most: int) -> None:
    sought = folded(text)
    expected = []
    for number, (code, name) in enumerate(entries):
        line = f"\n{folded(code)}\t{folded(name)}"
        found = rank(sought, folded(code), folded(name)) if sought else None
        if found is not None:
            expected.append(Match(found, len(line.encode()), number))
    assert Index(entries).find(text, most) == sorted(expected)[:most]
