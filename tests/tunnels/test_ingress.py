"""Configurations: what cloudflared would refuse is refused, in its words; what it takes is kept as it is."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfopen.errors import RefusedError
from halfopen.tunnels import ingress, names

LAST = {"service": "http_status:404"}


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "The config file doesn't contain any ingress rules"),
        ({"ingress": []}, "The config file doesn't contain any ingress rules"),
        (
            {"ingress": [{"hostname": "a.example", "service": "http://localhost"}]},
            "The last ingress rule must match all URLs",
        ),
        (
            {"ingress": [{"path": "/x", "service": "http://localhost"}]},
            "The last ingress rule must match all URLs",
        ),
        ({"ingress": [LAST, LAST]}, "Rule #1 is matching the hostname ''"),
        (
            {"ingress": [{"hostname": "a.*.example", "service": "http://b"}, LAST]},
            "at most one wildcard character",
        ),
        (
            {"ingress": [{"hostname": "a.example:80", "service": "http://b"}, LAST]},
            "Hostname cannot contain a port",
        ),
        (
            {"ingress": [{"hostname": "a.example", "path": "(", "service": "http://b"}, LAST]},
            "Rule #1 has an invalid regex: missing ): (",
        ),
        (
            {"ingress": [{"hostname": "a.example", "path": "^/(?!admin)", "service": "http://b"}, LAST]},
            "Rule #1 has an invalid regex: invalid perl operator: (?!",
        ),
        ({"ingress": [{"service": "http_status:99"}]}, "invalid HTTP status code: 99"),
        ({"ingress": [{"service": "http_status:1000"}]}, "invalid HTTP status code: 1000"),
        ({"ingress": [{"service": "localhost:80"}]}, "make sure it has a scheme and a hostname"),
        ({"ingress": [{"service": "http://a/path"}]}, "don't support proxying to a different path"),
        ({"ingress": [{"service": 5}]}, "Rule #1: service is a number, not a string"),
        ({"ingress": ["x"]}, "Rule #1 is a string, not an object"),
        ({"ingress": {"a": 1}}, "not a list"),
        ({"ingress": [LAST], "originRequest": []}, "originRequest is a list, not an object"),
        ({"ingress": [LAST], "warp-routing": 5}, "warp-routing is a number, not an object"),
        (
            {"ingress": [LAST], "warp-routing": {"connectTimeout": "5s"}},
            "warp-routing.connectTimeout is a string",
        ),
        ({"ingress": [LAST | {"originRequest": "x"}]}, "Rule #1: originRequest is a string, not an object"),
        ([], "config is a list, not an object"),
    ],
)
def test_what_is_refused(config: Any, words: str) -> None:
    with pytest.raises(RefusedError) as told:
        ingress.checked(config)
    assert (told.value.status, told.value.faults[0].code) == (400, 1056)
    assert words in str(told.value)
    assert str(told.value).startswith("Bad Configuration: ")
    assert str(told.value).endswith("\n")


@pytest.mark.parametrize(("options", "words"), [
    ({"connectTimeout": "abc"}, "connectTimeout is a string, not a whole number of seconds"),
    ({"tlsTimeout": 1.5}, "tlsTimeout is 1.5, not a whole number of seconds"),
    ({"tcpKeepAlive": True}, "tcpKeepAlive is a boolean, not a whole number"),
    ({"keepAliveTimeout": 10**30}, "not a whole number of seconds"),
    ({"noTLSVerify": "maybe"}, "noTLSVerify is a string, not a boolean"),
    ({"notlsverify": 1}, "notlsverify is a number, not a boolean"),
    ({"http2Origin": []}, "http2Origin is a list, not a boolean"),
    ({"httpHostHeader": 5}, "httpHostHeader is a number, not a string"),
    ({"keepAliveConnections": "5"}, "keepAliveConnections is a string, not a whole number"),
    ({"proxyPort": -1}, "proxyPort is -1, not a whole number"),
    ({"access": "x"}, "access is a string, not an object"),
    ({"access": {"audTag": "x"}}, "access.audTag is a string, not a list"),
    ({"access": {"audTag": [5]}}, "access.audTag[] is a number, not a string"),
    ({"access": {"required": True, "audTag": ["x"]}}, "access.TeamName cannot be blank"),
    ({"ipRules": [{"prefix": "::/0", "ports": [0]}]}, "ipRules[].ports[] is 0, not a whole number from 1 to 65535"),
])  # fmt: skip
def test_options_of_another_type_than_cloudflared_reads_are_refused(options: Any, words: str) -> None:
    for config in (
        {"ingress": [LAST], "originRequest": options},
        {"ingress": [LAST | {"originRequest": options}]},
    ):
        with pytest.raises(RefusedError, match=re.escape(words)):
            ingress.checked(config)


def test_options_that_cloudflared_reads_are_taken() -> None:
    options = {
        "connectTimeout": 10, "tlsTimeout": None, "tcpKeepAlive": 0, "noHappyEyeballs": True, "keepAliveConnections": 100,
        "httpHostHeader": "", "caPool": "/x", "noTLSVerify": False, "proxyType": "socks", "matchSNItoHost": True,
        "ipRules": [{"prefix": "10.0.0.0/8", "ports": [80, 443], "allow": True}], "unknown": {"x": [1]},
        "access": {"audTag": ["x"], "teamName": "team", "required": True, "more": 1},
    }  # fmt: skip
    config = {
        "ingress": [LAST | {"originRequest": options}],
        "originRequest": options,
        "warp-routing": {"enabled": True},
    }
    assert ingress.checked(config) == config


@pytest.mark.parametrize(
    "service",
    [
        "http://localhost:8080", "https://10.0.0.1", "ws://a", "tcp://db:5432", "ssh://a:22", "rdp://a:3389", "smb://a:445",
        "unix:/run/x.sock", "unix+tls:/run/x.sock", "hello_world", "bastion", "socks-proxy", "http_status:503",
    ],
)  # fmt: skip
def test_what_is_taken_is_kept_as_it_is(service: str) -> None:
    config = {
        "ingress": [
            {
                "hostname": "*.shop.example",
                "path": r"^/[[:alpha:]]+\z",
                "service": service,
                "originRequest": {"x": 1},
            },
            LAST,
        ],
        "originRequest": {"connectTimeout": 10},
    }
    assert ingress.checked(config) == config | {"warp-routing": {"enabled": False}}


def test_names_that_route_are_in_one_form_and_each_once() -> None:
    rules = [
        {"hostname": name, "service": "http://a"}
        for name in (
            "Shop.Example",
            "shop.example.",
            "*.shop.example",
            "bücher.example",
            "_x.example",
            "a..b",
            "*",
        )
    ]
    assert ingress.hostnames({"ingress": [*rules, LAST]}) == [
        "shop.example",
        "*.shop.example",
        "xn--bcher-kva.example",
        "_x.example",
    ]


@given(st.text(max_size=300))
def test_a_name_is_in_its_one_form_or_none(text: str) -> None:
    name = names.hostname(text)
    if name is not None:
        assert names.hostname(name) == name
        assert name.isascii()
        assert name == name.lower()
        assert len(name) <= names.LONGEST


@pytest.mark.parametrize(("name", "zone", "inside"), [
    ("example.com", "example.com", True), ("a.example.com", "example.com", True), ("*.example.com", "example.com", True),
    ("badexample.com", "example.com", False), ("com", "example.com", False), ("example.com.org", "example.com", False),
])  # fmt: skip
def test_what_lies_in_a_zone(name: str, zone: str, inside: bool) -> None:
    assert names.lies_in(name, zone) is inside


@pytest.mark.parametrize(("text", "name"), [
    ("Example.COM.", "example.com"), ("com", None), ("", None), ("a b.com", None), ("-a.com", None), ("*.example.com", None),
    ("x" * 64 + ".com", None), (".".join(["a" * 60] * 5), None),
])  # fmt: skip
def test_names_of_zones(text: str, name: str | None) -> None:
    assert names.zone_name(text) == name
