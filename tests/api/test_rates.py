"""How much one may ask: what is granted, and what a client is told of it."""

from __future__ import annotations

from dataclasses import dataclass

import httpx
import pytest

from halfopen.api import limits
from halfopen.api.limits import Buckets, Rate, neighbourhood
from tests.api.conftest import Server
from tests.api.served import SUMMARY
from tests.api.test_wire import told


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_bucket_grants_its_rate_and_no_more() -> None:
    clock = Clock()
    buckets = Buckets(Rate(6, 3), "default", clock)
    assert [buckets.take("a").granted for _ in range(7)] == [True] * 6 + [False]
    assert buckets.take("b").granted
    clock.now += 0.5
    assert [buckets.take("a").granted for _ in range(2)] == [True, False]
    clock.now += 100
    standing = buckets.take("a")
    assert (standing.granted, standing.left, standing.reset) == (True, 5, 1)
    assert buckets.headers(standing) == {
        "ratelimit": '"default";r=5;t=1', "ratelimit-policy": '"default";q=6;w=3',
    }  # fmt: skip


def test_what_is_kept_of_many_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "_KNOWN", 3)
    buckets = Buckets(Rate(1, 60), "default", Clock())
    for who in "abcd":
        assert buckets.take(who).granted
    assert not buckets.take("d").granted
    assert len(buckets._filled) == 3


@pytest.mark.parametrize(
    ("address", "counted"),
    [
        ("192.0.2.1", "192.0.2.1"), ("::ffff:192.0.2.1", "192.0.2.1"), ("2001:db8::1:2:3:4", "2001:db8::"),
        ("2001:db8:0:1::9%eth0", "2001:db8:0:1::"), ("", ""),
    ],
)  # fmt: skip
def test_what_counts_as_one_address(address: str, counted: str) -> None:
    assert neighbourhood(address) == counted


def test_beyond_the_rate_one_is_told_when_to_ask_again(busy: Server) -> None:
    answers = [busy.get("/accounts", "user") for _ in range(8)]
    assert [each.status_code for each in answers[:3]] == [200] * 3
    assert answers[0].headers["ratelimit-policy"] == '"default";q=3;w=3'
    assert answers[0].headers["ratelimit"] == '"default";r=2;t=1'
    refused = [each for each in answers if each.status_code == 429]
    assert refused
    for each in refused:
        (error,) = told(each, 429, 971)
        assert error["message"] == "Please wait and consider throttling your request speed"
        assert each.headers["retry-after"] == "1"
        assert each.headers["ratelimit"].startswith('"default";r=0;')
    radar = [busy.get(SUMMARY, "user") for _ in range(3)][-1]
    told(radar, 429, 1015)
    assert busy.get("/accounts", "radar").status_code == 200  # another principal


def test_an_edge_asks_for_many_and_has_a_rate_for_it(busy: Server) -> None:
    answers = [busy.get("/accounts", "edge") for _ in range(8)]
    assert {each.headers["ratelimit-policy"] for each in answers} == {'"edge";q=30000;w=300'}
    assert 429 not in {each.status_code for each in answers}


def test_addresses_have_a_rate_of_their_own(server: Server) -> None:
    answer = httpx.get(f"{server.api}/accounts")
    assert answer.headers["ratelimit-policy"] == '"address";q=2000;w=1'
