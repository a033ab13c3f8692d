"""The pages tell the truth: generated ones are up to date, links lead somewhere, every word is explained."""

from __future__ import annotations

import re
from argparse import ArgumentParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from halfopen.arrow import SCHEMA
from halfopen.cli.main import parser
from halfopen.connections.rules import SIGNATURES, TAGS
from halfopen.model import Counter, Stage
from tests.house.project import DOCS, ROOT, pages, script


@pytest.fixture(scope="module")
def generator() -> SimpleNamespace:
    return SimpleNamespace(**script("make_docs.py"))


def test_generated_pages_are_up_to_date(generator: SimpleNamespace) -> None:
    stale = [path.name for path, make in generator.PAGES.items() if path.read_text() != make()]
    assert stale == [], "run `make docs`"


def test_every_verb_and_flag_is_on_the_reference_page(generator: SimpleNamespace) -> None:
    page = (DOCS / "cli-reference.md").read_text()
    verbs: list[ArgumentParser] = [verb for verb, _ in generator.verbs(parser())]
    assert len(verbs) > 4
    for verb in verbs:
        assert f"## `{verb.prog}`" in page
        for action in verb._actions:
            for flag in action.option_strings:
                assert flag in page or flag in ("-h", "--help")


def test_the_glossary_knows_every_word_of_the_output(generator: SimpleNamespace) -> None:
    glossary = (DOCS / "glossary.md").read_text()
    words = {stage.name for stage in Stage} | {counter.name for counter in Counter}
    words |= {verb.prog.split()[-1] for verb, _ in generator.verbs(parser())} - {"halfopen"}
    words |= set(columns(SCHEMA))
    assert sorted(word for word in words if f"**`{word}`**" not in glossary) == []


def columns(fields: Any) -> list[str]:
    """Names of the columns, those inside of structures, too."""
    names = []
    for field in fields:
        names.append(field.name)
        if field.type.num_fields and field.type.num_fields > 1:
            names += columns(field.type)
    return names


def test_the_page_of_signatures_has_every_signature_and_tag() -> None:
    page = (DOCS / "signatures.md").read_text()
    words = {signature.id for signature in SIGNATURES} | {tag.name for tag in TAGS}
    assert sorted(word for word in words if f"`{word}`" not in page) == []


def test_the_method_has_every_decision() -> None:
    decisions = re.findall(r"^\*\*(D\d+),", (DOCS / "method.md").read_text(), re.MULTILINE)
    assert decisions == [f"D{number}" for number in range(1, 19)]


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name) if name else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), target


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_index_leads_to_every_page() -> None:
    index = (DOCS / "index.md").read_text()
    assert [
        page.name for page in DOCS.glob("*.md") if page.name != "index.md" and f"({page.name})" not in index
    ] == []


def test_every_target_of_make_that_a_page_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^(\w+):", makefile, re.MULTILINE))
    for page in pages():
        named = re.findall(r"^make (\w+)|`make (\w+)", page.read_text(), re.MULTILINE)
        assert {first or second for first, second in named} <= targets, page.name
