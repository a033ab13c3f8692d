"""The notebook of examples/ runs from its first cell to its last, and its charts come out."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import altair
import pytest

from tests.house.project import ROOT

NOTEBOOK = ROOT / "examples" / "capture_study.ipynb"


@pytest.fixture
def renderer() -> Iterator[None]:
    """Leaves the way in which charts show themselves as it was."""
    before = altair.renderers.active
    yield
    altair.renderers.enable(before)


def sources() -> list[str]:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def shown(source: str, names: dict[str, Any]) -> Any:
    """What a cell shows: the value of its last line, if that is an expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, NOTEBOOK.name, "exec"), names)
    return eval(compile(ast.Expression(last.value), NOTEBOOK.name, "eval"), names) if last else None  # type: ignore[attr-defined]


def test_every_cell_runs_and_six_charts_come_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renderer: None
) -> None:
    (tmp_path / "captures").symlink_to(ROOT / "captures")
    (tmp_path / "examples").mkdir()
    monkeypatch.chdir(tmp_path / "examples")
    names: dict[str, Any] = {}
    results = [shown(source, names) for source in sources()]
    charts = [each for each in results if isinstance(each, altair.TopLevelMixin)]
    titles = [chart.to_dict()["title"]["text"] for chart in charts]
    assert titles == [
        "When connections were cut",
        "When connections were cut",
        "How connections were cut",
        "Most affected",
        "Where connections were cut",
        "When connections were cut",
    ]
    described = [chart.to_dict()["description"] for chart in charts[:2]]
    assert all(each.startswith("37.4 % of 1,290 connections were cut, from ") for each in described)
    assert {"connections": 1298, "decided": 1290, "undecided": 8, "broke_off": 0} in results
    bundle: Any = charts[0]._repr_mimebundle_()
    assert bundle["image/svg+xml"].startswith("<svg")
    assert Path("stages.png").read_bytes().startswith(b"\x89PNG")
    assert Path("stages.html").read_text().startswith("<!doctype html>")


def test_no_outputs_are_kept() -> None:
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
