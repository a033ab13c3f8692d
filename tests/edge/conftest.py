"""What tests of an edge and its registry share."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from halfopen.edge import registry
from halfopen.edge.registry import Registry
from halfopen.tunnels.installation import Installation
from tests.edge.scene import installed


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    # A thread that waits for news is waited for at the end.
    monkeypatch.setattr(registry, "WAIT", 0.5)


@pytest.fixture(scope="module", params=["own", "far"])
def place(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Installation, Callable[[], Registry]]]:
    with installed(tmp_path_factory.mktemp("edge") / "data", request.param == "far") as found:
        yield found
