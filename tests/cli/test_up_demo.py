"""`halfopen up --demo`: a filled dataset and a tunnel that answers, in a directory that nothing else is in."""

from __future__ import annotations

import json
import re
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.conftest import Ran
from tests.cli.upping import Up, up
from tests.server.test_upkeep import until

Run = Callable[..., Ran]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """The demo in a terminal."""
    with up(tmp_path_factory.mktemp("demo") / "data", "--demo", terminal=True) as running:
        running.heard("Ctrl-C ends all of it.")
        yield running


def asked(demo: Up, question: str) -> Any:
    headers = {"Authorization": f"Bearer {demo.token()}"}
    answer = httpx.get(
        f"{demo.url}/client/v4/radar/tcp_resets_timeouts/{question}", headers=headers, timeout=120
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def shares(answer: Any, series: str) -> dict[str, float]:
    return {stage: float(share) for stage, share in answer[series].items()}


def test_a_visitor_reaches_the_origin_behind_the_tunnel(demo: Up) -> None:
    assert f"curl -H 'Host: demo.example' http://127.0.0.1:{demo.ports.visitors}/" in demo.text

    def visit() -> httpx.Response:
        return httpx.get(
            f"http://127.0.0.1:{demo.ports.visitors}/about", headers={"Host": "demo.example"}, timeout=60
        )

    assert until(lambda: visit().status_code == 200, 60)
    assert "Hello from behind the tunnel: demo.example/about" in visit().text


def test_the_week_and_the_one_before_are_filled(demo: Up) -> None:
    question = "summary?name=now&dateRange=7d&name=before&dateRange=7dcontrol"
    answer = asked(demo, question)
    for series in ("now", "before"):
        found = shares(answer, series)
        assert 1 < sum(share for stage, share in found.items() if stage != "no_match") < 60
    series = asked(demo, "timeseries_groups?dateRange=1d&aggInterval=1h")["serie_0"]
    assert len(series["timestamps"]) >= 24
    assert all(float(share) < 100 for share in series["no_match"][-24:])


def test_the_last_hours_tell_of_a_network_that_is_cut_off(demo: Up) -> None:
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    spans = [(hour - timedelta(days=days, hours=3), hour - timedelta(days=days)) for days in (0, 7)]
    now, before = (
        shares(
            asked(
                demo,
                f"summary?dateStart={begin:%Y-%m-%dT%H:%M:%SZ}&dateEnd={end:%Y-%m-%dT%H:%M:%SZ}&asn=64497",
            ),
            "summary_0",
        )
        for begin, end in spans
    )
    assert now["no_match"] + 30 < before["no_match"]


def test_a_sensor_goes_on_with_it(demo: Up, halfopen: Run) -> None:
    data = re.search(r"^  Data +(\S+), new$", demo.text, re.MULTILINE)
    assert data is not None

    def delivered() -> int:
        facts = json.loads(halfopen("store", "info", "--json", "--data", data[1]).out)
        return sum(each["sequence"] for each in facts["sensors"] if each["name"] == "fra-1")

    assert until(lambda: delivered() > 1, 90)


def test_it_is_made_anew_the_next_time_and_leaves_others_alone(
    halfopen: Run, demo: Up, tmp_path: Path
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "file").write_text("mine")
    ran = halfopen("up", "--demo", "--data", tmp_path / "own")
    assert (ran.code, "a directory that is empty, or that an earlier demo made" in ran.err) == (2, True)
    assert (tmp_path / "own" / "file").read_text() == "mine"
    demo.process.send_signal(signal.SIGINT)
    assert demo.process.wait(60) == 0


def test_nothing_of_it_comes_into_an_installation(
    halfopen: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = halfopen("up", "--demo", "--store", tmp_path / "store")
    assert (ran.code, "--store" in ran.err) == (2, True)
    monkeypatch.setenv("HALFOPEN_STORE", str(tmp_path / "store"))
    ran = halfopen("up", "--demo")
    assert (ran.code, "no --demo beside it" in ran.err) == (2, True)
    monkeypatch.delenv("HALFOPEN_STORE")
    monkeypatch.setenv("HALFOPEN_ACCOUNTS_URL", "postgresql://me:hunter2@127.0.0.1:1/x")
    ran = halfopen("up", "--demo")
    assert (ran.code, "HALFOPEN_ACCOUNTS_URL" in ran.err, "hunter2" in ran.err) == (2, True, False)
    assert not list(tmp_path.iterdir())


def test_without_a_source_tree_it_says_what_is_missing(
    halfopen: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from halfopen.cli import demo as made

    monkeypatch.setattr(made, "CAPTURE", tmp_path / "captures" / "demo.pcap.gz")
    ran = halfopen("up", "--demo", "--data", tmp_path / "data")
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert str(tmp_path / "captures" / "demo.pcap.gz") in ran.err
