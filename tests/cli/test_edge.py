"""``halfopen edge`` before it is one: what cannot be used is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from halfopen.cli.edge import tell
from halfopen.edge.connecting import Way
from halfopen.edge.running import Places
from tests.cli.conftest import Ran


@pytest.mark.parametrize(("given", "words"), [
    (("--colo", ""), "--colo: an empty name cannot be used; accepted: 1 to 63 characters"),
    (("--metrics", "foo"), "--metrics: foo cannot be used; accepted: HOST:PORT such as 127.0.0.1:9100 or [::1]:9100"),
    (("--registry", "api.example"), "--registry: api.example cannot be used; accepted: the URL of a server such as https://api.example"),
    (("--registry", "ftp://api.example"), "--registry: ftp://api.example cannot be used"),
    (("--registry", "http://"), "--registry: http:// cannot be used"),
    (("--registry", "http://x:99999"), "--registry: http://x:99999 cannot be used"),
    (("--registry", "http://x"), "--registry: http://x without a key cannot be used; accepted: the key that `halfopen edge enrol` printed"),
    (("dns", "0.0.0.0"), "ADDRESS: 0.0.0.0 cannot be used"), (("dns", "::"), "ADDRESS: :: cannot be used"),
    (("dns", "224.0.0.1"), "ADDRESS: 224.0.0.1 cannot be used"), (("dns", "fe80::1%eth0"), "ADDRESS: fe80::1%eth0 cannot be used"),
    (("dns", "::1", "0::1"), "ADDRESS: ::1, given twice, cannot be used; accepted: each address once"),
])  # fmt: skip
def test_what_cannot_be_used_is_named(
    halfopen: Callable[..., Ran],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.delenv("HALFOPEN_EDGE_KEY", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    ran = halfopen("edge", *given)
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err


def test_options_of_an_edge_are_for_a_server_that_is_one(
    halfopen: Callable[..., Ran], tmp_path: Path
) -> None:
    ran = halfopen("serve", "--data", tmp_path, "--visitors", "127.0.0.1:80", "--colo", "x")
    assert ran.code == 2
    assert (
        ran.err
        == "halfopen: --visitors, --colo: an option of an edge cannot be used; accepted: beside --edge\n"
    )


@pytest.mark.parametrize(
    ("listens", "told"),
    [
        ("192.0.2.1", "--edge 192.0.2.1:7844 "),
        ("::1", "--edge [::1]:7844 "),
        ("0.0.0.0", "--edge ADDRESS:7844 "),
        ("::", "--edge ADDRESS:7844 "),
    ],
)
def test_the_command_for_connectors_leads_to_the_edge(
    listens: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tell(Places((listens, 7844), ("127.0.0.1", 8080)), Way((listens, 7844), Path("ca.pem")))
    out = capsys.readouterr().out
    assert out.count(told) == 8
    assert ("ADDRESS one of this machine's" in out) is ("ADDRESS:" in told)
