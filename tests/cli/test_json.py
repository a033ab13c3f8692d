"""Whatever prints a table prints the same as JSON, where it is asked to."""

from __future__ import annotations

import json
import re
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from halfopen.cli.main import main, parser
from tests.cli.conftest import Ran
from tests.house.project import ROOT

Run = Callable[..., Ran]

PLACES: Final = ROOT / "captures" / "places"

TABLES: Final[dict[str, list[str]]] = {
    "token list": [],
    "account list": [],
    "zone list": [],
    "zone hostnames": ["example.com"],
    "edge list": [],
    "tunnel list": [],
    "tunnel info": ["blog"],
    "store info": [],
    "annotate": ["--list"],
    "signatures": [],
    "places info": [str(PLACES)],
    "places lookup": ["192.0.2.1", "--places", str(PLACES)],
    "doctor": [],
}
"""What prints a table, with what it must be given."""


def leaves(found: ArgumentParser) -> Iterator[ArgumentParser]:
    yield found
    for action in found._actions:
        if isinstance(action, _SubParsersAction):
            for each in action.choices.values():
                yield from leaves(each)


def words(verb: ArgumentParser) -> str:
    return verb.prog.removeprefix("halfopen ")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation with something of everything."""
    made = tmp_path_factory.mktemp("installation") / "data"
    from halfopen.accounts import Accounts
    from halfopen.store.store import Store

    made.mkdir(mode=0o700)
    Store(made / "store", create=True).close()
    accounts = Accounts.open(made)
    account = accounts.every_account()[0].id
    accounts.close()
    for argv in (
        ["token", "create", "--permission", "radar:read", "--name", "of a test", "--expires", "7d"],
        ["zone", "add", account, "example.com"],
        ["edge", "enrol", "ams"],
        ["tunnel", "create", "blog"],
        ["annotate", "something happened", "--asn", "64496"],
    ):
        assert main([*argv, "--data", str(made)]) == 0
    return made


def test_every_deed_that_prints_a_table_is_known() -> None:
    every = list(leaves(parser()))
    assert {words(each) for each in every if any("--json" in a.option_strings for a in each._actions)} == set(
        TABLES
    )
    lists = {words(each) for each in every if re.search(r"(list|info|hostnames|lookup)$", words(each))}
    assert lists <= set(TABLES)


@pytest.mark.parametrize("deed", TABLES)
def test_it_is_json_of_what_the_table_shows(halfopen: Run, data: Path, deed: str) -> None:
    takes_data = any(
        "--data" in a.option_strings
        for each in leaves(parser())
        if words(each) == deed
        for a in each._actions
    )
    argv = [*deed.split(), *TABLES[deed], *(["--data", str(data)] if takes_data else [])]
    plain, told = halfopen(*argv), halfopen(*argv, "--json")
    assert plain.code == told.code
    found = json.loads(told.out)
    assert found or deed == "zone hostnames"
    for text in texts(found):
        if re.fullmatch(r"[\w.-]+", text) and deed != "places lookup":
            assert text in plain.out


def texts(value: Any) -> Iterator[str]:
    """The words of a JSON value, but for its keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for each in value.values() if isinstance(value, dict) else value:
            yield from texts(each)


def test_a_row_is_an_object_by_the_words_of_the_head(halfopen: Run, data: Path) -> None:
    token = json.loads(halfopen("token", "list", "--json", "--data", data).out)[0]
    assert list(token) == [
        "id",
        "name",
        "permissions",
        "account",
        "sensor",
        "created",
        "expires",
        "last_used",
        "state",
    ]
    assert (token["permissions"], token["sensor"], token["state"]) == (["radar:read"], None, "active")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", token["expires"])
    assert json.loads(halfopen("tunnel", "info", "blog", "--json", "--data", data).out)["connections"] == []
