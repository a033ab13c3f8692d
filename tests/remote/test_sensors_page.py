"""What docs/sensors.md tells those who write sensors is so."""

from __future__ import annotations

import urllib.error
from contextlib import closing, redirect_stdout
from io import StringIO
from typing import Any

import pytest

from halfopen.store.query import Filters
from halfopen.store.schema import INCOMING
from halfopen.store.store import Store
from tests.house.project import DOCS, code
from tests.remote.conftest import Serving


def pasted(server: Serving, token: str = "web-1") -> tuple[dict[str, Any], list[str]]:
    """Run the example of the page with the address and the token of a server; gives its names and what it printed."""
    (example,) = code(DOCS / "sensors.md", "python")
    for word, meant in (("http://127.0.0.1:8787", server.url), ('"..."', repr(server.tokens[token]))):
        assert example.count(word) == 1
        example = example.replace(word, meant)
    names: dict[str, Any] = {}
    with redirect_stdout(StringIO()) as said:
        exec(example, names)
    return names, said.getvalue().split()


def test_the_example_delivers(served: Serving) -> None:
    names, said = pasted(served)
    assert said == ["2", "3"]
    assert names["SCHEMA"] == INCOMING
    assert names["deliver"]([names["cut"]], 1, names["now"]) == 3, "held already"
    assert names["deliver"]([], 9, names["now"]) == 3, "beyond the next"
    with closing(Store(served.data / "store")) as store:
        found = store.dataset.connections(Filters(), names["now"] - 600, names["now"], 10).to_pylist()
    assert [(each["signature"], each["sensor"], each["asn"]) for each in found] == [
        ("syn_rst", "web-1", 64496)
    ]


def test_another_sensors_token_is_refused(served: Serving) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        pasted(served, "web-2")
    with refused.value as answer:
        assert answer.code == 403
