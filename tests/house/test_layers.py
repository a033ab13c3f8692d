"""Imports run downwards, and the core imports nothing that acts or chances."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.house.project import ROOT, modules


def test_the_contracts_of_pyproject_hold() -> None:
    lint = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"], cwd=ROOT, capture_output=True, text=True
    )
    assert lint.returncode == 0, lint.stdout + lint.stderr


def test_nobody_but_command_and_server_imports_the_front_door() -> None:
    asking = [
        path.relative_to(ROOT)
        for path, text in modules()
        if "\nfrom halfopen import" in text and not {"cli", "server"} & set(path.parts)
    ]
    assert asking == []
