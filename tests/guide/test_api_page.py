"""The page of the API: its commands work, and it knows every code of an error."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

from tests.guide.conftest import Served
from tests.house.project import DOCS, ROOT, code

PAGE = DOCS / "api.md"


def test_the_commands_of_the_page_are_answered(served: Served, tmp_path: Path) -> None:
    commands = "\n".join(code(PAGE, "sh")).replace("http://127.0.0.1:8787", served.url)
    done = subprocess.run(
        ["bash", "-ec", commands.replace("curl -s ", "curl -sw '\\n' ")],
        env=os.environ | {"TOKEN": served.token}, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["success"] for each in answers] == [True] * 3
    assert set(answers[2]["result"]) == {"now", "before", "meta"}


def test_the_envelopes_of_the_page_are_json() -> None:
    for text in code(PAGE, "json"):
        assert set(json.loads(text)) == {"success", "errors", "messages", "result"}


def test_every_code_of_an_error_is_on_the_page() -> None:
    """In the source a code is the first thing that an error or a fault is given, or its docstring names; those of a service are defaults."""
    raised = re.compile(
        r"\b(?:Fault|\w+Error) ?\((\d{3,5})\b|\b(?:rejected|throttled|code)(?:: int)? ?= ?(\d{3,5})\b"
    )
    sources = [path.read_text() for path in (ROOT / "src" / "halfopen").rglob("*.py")]
    found = {code for text in sources for pair in raised.findall(text) for code in pair if code}
    assert {"971", "1015", "1056", "2001", "7003", "9109"} <= found
    statuses = {status for status in found if 400 <= int(status) < 600}
    listed = PAGE.read_text().partition("These are the codes:")[2].partition("##")[0]
    assert sorted(found - statuses - set(re.findall(r"\d{3,5}", listed))) == []
