"""The shells complete verbs, deeds and options by what `halfopen completion` prints."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Ran

ASKED = """
source {script}
COMP_WORDS=({line} "")
COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
COMP_LINE="{line} "
COMP_POINT=${{#COMP_LINE}}
$(complete -p halfopen | sed -E 's/.*-F ([^ ]+) .*/\\1/') halfopen "{last}" ""
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def complete(halfopen: Callable[..., Ran], tmp_path: Path) -> Callable[[str], list[str]]:
    script = tmp_path / "script"
    script.write_text(halfopen("completion", "bash").out)

    def asked(line: str) -> list[str]:
        program = ASKED.format(script=script, line=line, last=line.split()[-1])
        done = subprocess.run(["bash", "-c", program], capture_output=True, text=True, timeout=60, check=True)
        return done.stdout.split()

    return asked


def test_bash_completes_verbs_and_deeds(complete: Callable[[str], list[str]]) -> None:
    assert {"up", "serve", "doctor", "completion"} <= set(complete("halfopen"))
    assert {"create", "list", "revoke"} <= set(complete("halfopen token"))


def test_zsh_reads_its_script(
    halfopen: Callable[..., Ran], tmp_path: Path, require: Callable[[bool, str], None]
) -> None:
    ran = halfopen("completion", "zsh")
    assert ran.out.startswith("#compdef halfopen")
    require(shutil.which("zsh") is not None, "zsh (Debian: package zsh)")
    (tmp_path / "_halfopen").write_text(ran.out)
    subprocess.run(["zsh", "-n", tmp_path / "_halfopen"], check=True, timeout=60)


def test_another_shell_is_refused(halfopen: Callable[..., Ran]) -> None:
    ran = halfopen("completion", "fish")
    assert (ran.code, ran.out) == (2, "")
