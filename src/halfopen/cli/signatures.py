"""``halfopen signatures``: the table of rules."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import Any

from halfopen.cli.tables import add_json, print_json
from halfopen.cli.text import columns
from halfopen.connections.rules import RULES_VERSION, SIGNATURES, TAGS
from halfopen.model import STAGE_WORDS, STAGES


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "signatures",
        help="print the table of rules",
        description="The stages, the signatures and the tags, with their words and sources.",
        allow_abbrev=False,
    )
    add_json(verb)
    verb.set_defaults(run=run)


def run(args: Namespace) -> int:
    """Print the table."""
    if args.json:
        print_json(_rules())
    else:
        print("\n".join(_table()))
    return 0


def _rules() -> dict[str, object]:
    return {
        "rules_version": RULES_VERSION,
        "stages": [{"id": stage.name, "words": STAGE_WORDS[stage]} for stage in STAGES],
        "signatures": [
            {
                "number": rule.number,
                "id": rule.id,
                "stage": rule.stage.name,
                "pattern": rule.pattern,
                "words": rule.words,
                "source": rule.source,
            }
            for rule in SIGNATURES
        ],
        "tags": [{"id": tag.name, "words": words} for tag, words in TAGS.items()],
    }


def _table() -> Iterator[str]:
    yield f"Rules, version {RULES_VERSION}"
    yield ""
    yield from columns([("Stage", ""), *((stage.name, STAGE_WORDS[stage]) for stage in STAGES)])
    yield ""
    yield from columns(
        [
            ("#", "Signature", "Stage", "Pattern", "Words", "Source"),
            *(
                (str(rule.number), rule.id, rule.stage.name, rule.pattern, rule.words, rule.source)
                for rule in SIGNATURES
            ),
            ("", "none", "any", "", "a cut that fits no row", ""),
        ],
        right=(0,),
    )
    yield ""
    yield from columns([("Tag", ""), *((tag.name, words) for tag, words in TAGS.items())])
