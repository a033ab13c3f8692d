"""The quickstart works as it stands there."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from halfopen.cli.main import parser
from tests.conftest import Require
from tests.edge.test_discovery import SEPARATE
from tests.house.project import ROOT, script


@pytest.mark.usefixtures("compiled")
def test_every_command_of_the_page_runs(tmp_path: Path, require: Require) -> None:
    for program in ("ip", "curl", "bash", "unshare"):
        require(shutil.which(program) is not None, program)
    may = subprocess.run([*SEPARATE, "true"], capture_output=True, check=False).returncode == 0
    require(may, "network and mount namespaces (unshare, as root or where users may make their own)")
    verbs = {verb.prog for verb, _ in script("make_docs.py")["verbs"](parser())}
    started = "halfopen up" if "halfopen up" in verbs else "halfopen serve --edge"
    done = subprocess.run(
        [*SEPARATE, sys.executable, "-m", "tests.guide.quickstart", str(tmp_path), started],
        cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "6 connections" in done.stdout
    assert "hello.txt" in done.stdout
