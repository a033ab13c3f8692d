"""What docs/captures.md shows works as shown."""

import re
import tomllib
from pathlib import Path

import pytest

from halfopen.testing.pcap import read_pcap

PAGE = Path(__file__).parents[2] / "docs" / "captures.md"


def test_the_example_of_the_builder_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (example,) = re.findall(r"```python\n(from pathlib.*?)```", PAGE.read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, str(PAGE), "exec"), {})
    link, frames = read_pcap((tmp_path / "reset.pcap").read_bytes())
    assert (link, len(frames)) == (1, 6)


def test_the_scenes_it_names_exist() -> None:
    made = tomllib.loads((PAGE.parents[1] / "captures" / "matrix" / "made.toml").read_text())
    named = re.findall(r"make captures ARGS=\"?([a-z_ ]+)", PAGE.read_text())
    assert {word for words in named for word in words.split()} <= {*made, "demo"}
