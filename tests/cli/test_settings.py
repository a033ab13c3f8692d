"""An option is what a flag says, else the environment, else the file, else its default; and what is wrong is told by its place."""

from __future__ import annotations

import os
from argparse import ArgumentParser, _AppendAction
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from halfopen.cli.main import parser
from halfopen.cli.settings import RUNNING
from halfopen.errors import UsageError
from tests.cli.conftest import Ran, spawned
from tests.house.project import DOCS, code

Run = Callable[..., Ran]

TIMES: Final = ("7d", "8d", "9d", "10d")
PLACES: Final = ("127.0.0.1:1", "127.0.0.1:2", "[::1]:3", "127.0.0.1:4")
NETWORKS: Final = ("10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32", "0.0.0.0/0")
NUMBERS: Final = ("1", "2", "3", "4")
NAMES: Final = ("a", "b", "c", "d")
SWITCH: Final = ("true",) * 4

SAMPLES: Final[Mapping[str, tuple[str, ...]]] = (
    {
        "keep-connections": TIMES,
        "keep-rollups": TIMES,
        "grace": ("1m", "2m", "3m", "4m"),
        "once": ("1m", "2m", "3m", "4m"),
        "edge-listen": PLACES,
        "listen": PLACES,
        "visitors": PLACES,
        "visitors-tls": PLACES,
        "metrics": PLACES,
        "trusted-proxy": NETWORKS,
        "server-net": NETWORKS,
        "truncate": ("1,1", "2,2", "3,3", "4,4"),
        "registry": ("http://a", "http://b", "http://c", "http://d"),
        "keep-clients": ("full", "truncated", "hash", "none"),
        "keep-names": ("full", "domain", "hash", "none"),
        "edge": SWITCH,
        "print-nft": SWITCH,
        "demo": SWITCH,
    }
    | dict.fromkeys(
        ("port", "nflog", "server-port", "sample", "spool-size", "idle-timeout", "max-connections"), NUMBERS
    )
    | dict.fromkeys(
        (
            "store",
            "host",
            "places",
            "certificates",
            "colo",
            "interface",
            "name",
            "to",
            "token-file",
            "user",
            "output",
        ),
        NAMES,
    )
)
"""Four values of every option, for the four layers."""  # fmt: skip

LAYERS: Final = ("flag", "environment", "section", "above")


@cache
def verbs() -> dict[str, ArgumentParser]:
    found: Any = parser()
    return {name: found._subparsers._group_actions[0].choices[name] for name in RUNNING}


def options() -> list[tuple[str, str]]:
    """Every option of every verb that runs on, but for that by which the file is found."""
    return [
        (verb, action.option_strings[-1].removeprefix("--"))
        for verb, found in verbs().items()
        for action in found._actions
        if action.option_strings and action.dest not in ("help", "config", "data")
    ]


@cache
def shared() -> set[str]:
    """What may stand above all sections."""
    found: Any = parser()
    serve = found._subparsers._group_actions[0].choices["serve"]
    return set(serve.settings._shared)


def toml(option: str, text: str) -> str:
    return f"{option} = true\n" if SAMPLES[option] is SWITCH else f'{option} = "{text}"\n'


def read(*argv: str) -> Any:
    return parser().parse_args(argv)


def flag(option: str, text: str) -> tuple[str, ...]:
    return (f"--{option}",) if SAMPLES[option] is SWITCH else (f"--{option}", text)


@contextmanager
def environment(more: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(more)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(options()), st.sets(st.sampled_from(LAYERS)))
def test_the_first_of_flag_environment_and_file_counts(
    tmp_path: Path, which: tuple[str, str], layers: set[str]
) -> None:
    verb, option = which
    said = dict(zip(LAYERS, SAMPLES[option], strict=True))
    if option not in shared():
        layers = layers - {"above"}
    above = toml(option, said["above"]) if "above" in layers else ""
    section = f"[{verb}]\n{toml(option, said['section'])}" if "section" in layers else ""
    (tmp_path / "halfopen.toml").write_text(above + section)
    variables = {f"HALFOPEN_{option.replace('-', '_').upper()}": said["environment"]}
    with environment(variables if "environment" in layers else {}):
        found = read(verb, "--data", str(tmp_path), *(flag(option, said["flag"]) if "flag" in layers else ()))
    (tmp_path / "halfopen.toml").unlink()
    first = next((layer for layer in LAYERS if layer in layers), None)
    bare = read(verb, "--data", str(tmp_path), *(flag(option, said[first]) if first else ()))
    action = next(each for each in verbs()[verb]._actions if f"--{option}" in each.option_strings)
    assert getattr(found, action.dest) == getattr(bare, action.dest)
    origins = [each.origin for each in found.settings if each.option == f"--{option}"]
    assert len(origins) == (first is not None)


def test_every_option_of_a_list_may_be_one_or_many(tmp_path: Path) -> None:
    lists = [
        action for action in verbs()["sense"]._actions if isinstance(action, _AppendAction)
    ]  # -i and --places
    assert len(lists) == 2
    (tmp_path / "halfopen.toml").write_text('places = ["a", "b"]\n[sense]\ninterface = "eth0"\n')
    found = read("sense", "--data", str(tmp_path))
    assert (found.places, found.interfaces) == (["a", "b"], ["eth0"])
    with environment({"HALFOPEN_PLACES": "c,d", "HALFOPEN_INTERFACE": "lo"}):
        found = read("sense", "--data", str(tmp_path))
    assert (found.places, found.interfaces) == (["c", "d"], ["lo"])
    assert read("sense", "--data", str(tmp_path), "--places", "e").places == ["e"]


def test_of_what_excludes_each_other_the_first_layer_counts(tmp_path: Path) -> None:
    (tmp_path / "halfopen.toml").write_text('[sense]\ninterface = "eth0"\n')
    found = read("sense", "--data", str(tmp_path), "--nflog", "5")
    assert (found.nflog, found.interfaces) == (5, [])
    (tmp_path / "halfopen.toml").write_text('[sense]\ninterface = "eth0"\nnflog = 5\n')
    with pytest.raises(UsageError, match=r"no .*\[sense\] interface beside it"):
        read("sense", "--data", str(tmp_path))


def test_one_file_is_named_before_the_one_in_the_data_directory(tmp_path: Path) -> None:
    for name, port in (("halfopen", 1), ("named", 2), ("given", 3)):
        (tmp_path / f"{name}.toml").write_text(f"[serve]\nport = {port}\n")
    data = str(tmp_path)
    assert read("serve", "--data", data).port == 1
    with environment({"HALFOPEN_CONFIG": str(tmp_path / "named.toml")}):
        assert read("serve", "--data", data).port == 2
        assert read("serve", "--data", data, "--config", str(tmp_path / "given.toml")).port == 3
    with environment({"HALFOPEN_DATA": data}):
        assert read("serve").port == 1


def test_a_named_file_says_where_the_data_directory_is(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_text('data = "/nowhere"\n')
    assert read("token", "list", "--config", str(tmp_path / "x.toml")).data == "/nowhere"


def test_verbs_that_end_take_what_they_share_with_those_that_run_on(tmp_path: Path) -> None:
    (tmp_path / "halfopen.toml").write_text('keep-connections = "7d"\nkeep-clients = "none"\n')
    assert read("store", "prune", "--data", str(tmp_path)).keep_connections.days == 7
    assert read("ingest", "x", "--data", str(tmp_path)).keep_clients == "none"
    with environment({"HALFOPEN_NAME": "of-a-sensor", "HALFOPEN_FORCE": "yes"}):
        assert read("sense", "--data", str(tmp_path)).name == "of-a-sensor"
        assert read("token", "create", "--permission", "admin", "--data", str(tmp_path)).name == ""
        assert not read("tunnel", "delete", "x", "--data", str(tmp_path)).force


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[serve]\nport = 99999\n", "[serve] port: 99999 cannot be used; accepted: a whole number from 1 to"),
        ("[serve]\nport = true\n", "[serve] port: true cannot be used; accepted: text or a number"),
        ("[serve]\nedge = 1\n", "[serve] edge: 1 cannot be used; accepted: true or false"),
        ("store = 5\n", "store: 5 cannot be used; accepted: text"),
        ("[serve]\nprot = 1\n", "[serve] prot: a key of this name cannot be used; accepted: certificates, "),
        ("port = 1\n", "port: a key of this name cannot be used; accepted: it under [up] or [serve]"),
        (
            "[sense]\nport = 1\n",
            "[sense] port: a key of this name cannot be used; accepted: it under [up] or ",
        ),
        ("prot = 1\n", "prot: a key of this name cannot be used; accepted: data, "),
        ("[server]\nport = 1\n", "[server] cannot be used; accepted: ["),
        (
            '[sense]\nkeep-clients = "some"\n',
            "keep-clients: some cannot be used; accepted: full, truncated, ",
        ),
        ("[serve\n", "what is in it cannot be used; accepted: TOML ("),
        ('data = "/x"\n', "data: /x cannot be used; accepted: nothing: the file lies in the data directory"),
        ('[edge]\nlisten = "x"\n', "[edge] listen: x cannot be used"),
        ("accounts-url = 5\n", "accounts-url: what is there cannot be used; accepted: text"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(halfopen: Run, tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "halfopen.toml"
    path.write_text(text)
    path.chmod(0o600)
    ran = halfopen("serve", "--data", tmp_path)
    assert (ran.code, ran.out, len(ran.err.splitlines())) == (2, "", 1)
    assert str(path) in ran.err
    assert words in ran.err


def test_all_that_is_wrong_is_told_at_once(halfopen: Run, tmp_path: Path) -> None:
    text = 'port = 1\nstore = 5\n[serve]\nport = 99999\nedge = 1\n[server]\nport = 1\n[sense]\nkeep-clients = "some"\n'
    (tmp_path / "halfopen.toml").write_text(text)
    with environment({"HALFOPEN_HOST": "127.0.0.1", "HALFOPEN_GRACE": "long"}):
        ran = halfopen("serve", "--data", tmp_path)
    words = ("HALFOPEN_GRACE: long", ": port: ", ": store: 5", "[serve] port: 99999", "[serve] edge: 1",
             "[server]", "[sense] keep-clients: some")  # fmt: skip
    assert (ran.code, ran.out) == (2, "")
    for line, each in zip(ran.err.splitlines(), words, strict=True):
        assert line.startswith("halfopen: ")
        assert each in line


def test_a_variable_that_cannot_be_used_is_named(halfopen: Run, tmp_path: Path) -> None:
    for name, value in (("HALFOPEN_PORT", "x"), ("HALFOPEN_EDGE", "maybe"), ("HALFOPEN_CONFIG", "nowhere")):
        with environment({name: value}):
            ran = halfopen("serve", "--data", tmp_path)
        assert (ran.code, f"halfopen: {name}: {value} cannot be used" in ran.err) == (2, True)


def test_a_secret_is_taken_from_a_file_that_nobody_else_reads(tmp_path: Path) -> None:
    path = tmp_path / "halfopen.toml"
    path.write_text('accounts-url = "postgresql://me:secret@127.0.0.1:1/x"\n')
    path.chmod(0o640)
    ran = spawned("token", "list", "--data", tmp_path)
    assert (ran.code, "secret@" in ran.err) == (2, False)
    assert f"chmod 600 {path}" in ran.err
    path.chmod(0o600)
    ran = spawned("token", "list", "--data", tmp_path)
    assert ran.code == 1
    assert "postgresql://me:***@127.0.0.1:1/x" in ran.err


def test_the_file_that_the_documentation_shows_is_read(tmp_path: Path) -> None:
    (text,) = code(DOCS / "up.md", "toml")
    (tmp_path / "halfopen.toml").write_text(text)
    assert read("serve", "--data", str(tmp_path)).visitors == ("0.0.0.0", 80)
    assert read("sense", "--data", str(tmp_path)).sample == 16


def test_a_misspelled_secret_is_not_shown(halfopen: Run, tmp_path: Path) -> None:
    (tmp_path / "halfopen.toml").write_text('acounts-url = "hunter2"\n')
    assert "hunter2" not in halfopen("serve", "--data", tmp_path).err
