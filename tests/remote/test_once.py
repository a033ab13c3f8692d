"""Exactly once over HTTP: whatever is sent again, at once, too early, or to a server that is killed."""

from __future__ import annotations

import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.remote.conftest import Serving, serving
from tests.remote.test_batches import RECENT, body, counted, post, row


def rows(count: int) -> bytes:
    return body(row(RECENT - 7200, client_port=port) for port in range(count))


def result(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def held(server: Serving) -> int:
    path = "/radar/tcp_resets_timeouts/connections"
    found = server.ask("GET", path, "connections", params={"sensor": "web-1"}).json()["result_info"]
    return int(found["total_count"])


def follows(server: Serving) -> bool:
    """Whether the rollups have as many connections as the truth, sooner or later."""
    end = time.monotonic() + 20
    while counted(server, "web-1") != held(server) and time.monotonic() < end:
        time.sleep(0.1)
    return counted(server, "web-1") == held(server)


def test_up_to_the_last_it_is_held_and_beyond_the_next_it_is_not(served: Serving) -> None:
    before = held(served)
    own = {"incarnation": str(uuid.UUID(int=1))}
    for number in (1, 2, 3):
        found = result(post(served, rows(number), number, **own))
        assert found == {"held": True, "taken": True, "expected": number + 1}
    for number in (1, 2, 3):
        # Whatever it brings this time: what was taken under the number stays.
        found = result(post(served, rows(9), number, **own))
        assert found == {"held": True, "taken": False, "expected": 4}
    for number in (5, 6, 2**40):
        answer = post(served, rows(9), number, **own)
        assert (answer.status_code, answer.headers["halfopen-expected-sequence"]) == (409, "4")
        (fault,) = answer.json()["errors"]
        assert fault == {"code": 1009, "message": f"sequence: {number} came, expected is 4"}
    assert post(served, rows(9), 2, incarnation=str(uuid.UUID(int=2))).status_code == 409
    assert held(served) == before + 6
    assert follows(served)


def sent(server: Serving, content: bytes, number: int, incarnation: int) -> Any:
    """The result of a batch that is sent until it is held: a server takes one body of a sensor at a time."""
    while (
        answer := post(server, content, number, incarnation=str(uuid.UUID(int=incarnation)))
    ).status_code != 200:
        assert answer.status_code in (409, 429), answer.text
        time.sleep(0.2)
    return result(answer)


def test_the_same_batch_at_once_is_taken_once(served: Serving) -> None:
    before = held(served)
    with ThreadPoolExecutor(4) as pool:
        for number in (1, 2, 3):
            answers = list(pool.map(sent, [served] * 4, [rows(2)] * 4, [number] * 4, [3] * 4))
            assert {each["expected"] for each in answers} == {number + 1}
            assert sorted(each["taken"] for each in answers) == [False] * 3 + [True]
    assert held(served) == before + 6
    assert follows(served)


def test_batches_at_once_are_taken_in_order(served: Serving) -> None:
    before = held(served)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(sent, [served] * 4, [rows(1)] * 4, range(1, 5), [4] * 4))
    assert [each["expected"] for each in answers] == [2, 3, 4, 5]
    assert all(each["taken"] for each in answers)
    assert held(served) == before + 4
    assert follows(served)


def test_the_same_batch_to_two_servers_at_once_is_taken_once(served: Serving, tmp_path: Path) -> None:
    before = held(served)
    with serving(tmp_path, "--store", str(served.data / "store")) as other, ThreadPoolExecutor(2) as pool:
        for number in range(1, 7):
            answers = list(pool.map(sent, [served, other], [rows(1)] * 2, [number] * 2, [5] * 2))
            assert {each["expected"] for each in answers} == {number + 1}
            assert sorted(each["taken"] for each in answers) == [False, True]
        assert held(served) == held(other) == before + 6
        assert follows(served)
        assert follows(other)


def test_a_server_killed_between_commit_and_answer(tmp_path: Path) -> None:
    with serving(tmp_path, command=("tests.remote.dying",)) as server, pytest.raises(httpx.TransportError):
        post(server, rows(5))
    with serving(tmp_path) as server:
        assert held(server) == 5
        assert follows(server)  # before any other batch
        assert result(post(server, rows(5))) == {"held": True, "taken": False, "expected": 2}
        assert result(post(server, rows(1), 2))["taken"]
        assert held(server) == 6
        assert follows(server)
