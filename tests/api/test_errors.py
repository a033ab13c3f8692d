"""Every error of the API as it goes over the wire: who asks for what, and the status, codes and words that come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.api.conftest import Server
from tests.api.served import SUMMARY
from tests.api.test_wire import VERIFY, told

Headers = list[tuple[str, str]]
Row = tuple[str, str, str | Headers, int, dict[int, str]]

LONG = "x" * 40
MISSING = {9106: "Missing X-Auth-Key, X-Auth-Email or Authorization headers"}
FAILED = {9106: "Authentication failed (status: 400)"}
INVALID = {9109: "Invalid access token"}
NOT_VERIFIED = {1000: "Invalid API Token"}
NO_PERMISSION = {10000: "Authentication error"}
NO_METHOD = {10405: "Method not allowed for this authentication scheme"}
KEY: Headers = [("X-Auth-Email", "{email}"), ("X-Auth-Key", "{key}")]


def bearer(text: str) -> Headers:
    return [("Authorization", text)]


def no_route(path: str) -> dict[int, str]:
    return {
        7003: f"Could not route to {path}, perhaps your object identifier is invalid?",
        7000: "No route for that URI",
    }


PATHS = ("/accounts", "/user", VERIFY, SUMMARY, "/no/such/route", "/")
ROWS: tuple[Row, ...] = (
    # Without credentials every path and method answers alike.
    *((method, path, [], 400, MISSING) for path in PATHS for method in ("GET", "POST", "DELETE", "OPTIONS")),
    ("GET", "/accounts", KEY[:1], 400, MISSING),
    ("GET", "/accounts", KEY[1:], 400, MISSING),
    ("GET", "/accounts", [("X-Auth-User-Service-Key", f"v1.0-{LONG}")], 400, MISSING),
    # A token that is not good, whatever the reason and the path; where it is to be verified in other words.
    *(
        ("GET", path, token, 403, INVALID)
        for token in ("unknown", "expired", "revoked")
        for path in PATHS
        if path != VERIFY
    ),
    *(("GET", VERIFY, token, 401, NOT_VERIFIED) for token in ("unknown", "expired", "revoked")),
    ("HEAD", VERIFY, "unknown", 401, {}),
    ("GET", VERIFY, KEY, 401, NOT_VERIFIED),
    # An e-mail and a key that do not fit.
    *(
        ("GET", path, [("X-Auth-Email", email), ("X-Auth-Key", key)], 400, FAILED)
        for email, key in (("{email}", LONG), ("b@example.com", "{key}"), ("admin@localhost", LONG))
        for path in ("/accounts", VERIFY, SUMMARY, "/no/such/route")
    ),
    # No permission.
    ("GET", "/user", "radar", 403, NO_PERMISSION),
    ("GET", "/user", "sensor", 403, NO_PERMISSION),
    ("GET", SUMMARY, "sensor", 403, NO_PERMISSION),
    ("POST", "/echo", "admin", 403, NO_PERMISSION),
    ("POST", "/echo", KEY, 403, NO_PERMISSION),
    ("GET", "/trouble/bug", "radar", 403, NO_PERMISSION),
    ("GET", f"/accounts/{'0' * 32}", "admin", 403, NO_PERMISSION),
    # No such method.
    *(("PUT", path, "radar", 405, NO_METHOD) for path in ("/accounts", "/user", VERIFY, SUMMARY)),
    ("GET", "/echo", "radar", 405, NO_METHOD),
    ("OPTIONS", SUMMARY, "radar", 405, NO_METHOD),
    ("BREW", SUMMARY, KEY, 405, NO_METHOD),
    # No route, or an identifier that cannot be one.
    *(
        ("GET", path, "radar", 404, no_route(path))
        for path in (
            "/no/such/route", "/", "/accounts/", f"{SUMMARY}/", "/radar/tcp_resets_timeouts/nothing",
            f"/accounts/{'a' * 33}", "/accounts/a.b", "/trouble/UPPER",
        )
    ),
    ("POST", "/no/such/route", KEY, 404, no_route("/no/such/route")),
    # What handlers raise, in both services.
    ("GET", "/trouble/missing", "admin", 404, {1003: "Tunnel not found"}),
    ("GET", "/trouble/conflict", "admin", 409, {1013: "You already have a tunnel with this name"}),
    ("GET", "/trouble/cost", "admin", 422, {2002: "too much: ask for a shorter window"}),
    ("GET", "/radar/trouble/cost", "radar", 422, {2002: "too much: ask for a shorter window"}),
    ("GET", "/accounts?page=0", "radar", 400, {1001: 'page: "0" is not a whole number from 1 to 1,000,000'}),
    ("GET", f"{SUMMARY}?location=xx1", "radar", 400, {2001: 'location: "xx1" is not an ISO 3166-1 alpha-2 code'}),
)  # fmt: skip


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=20) as found:
        yield found


def ask(http: httpx.Client, server: Server, method: str, path: str, given: str | Headers) -> httpx.Response:
    headers = bearer(f"Bearer {server.tokens[given]}") if isinstance(given, str) else given
    values = {"email": server.email, "key": server.key, **server.tokens}
    filled = [(name, text.format_map(values)) for name, text in headers]
    return http.request(method, server.api + path, headers=filled)


def test_every_row_gets_its_error(http: httpx.Client, server: Server) -> None:
    for method, path, given, status, errors in ROWS:
        answer = ask(http, server, method, path, given)
        if method == "HEAD":
            assert (answer.status_code, answer.content) == (status, b"")
            continue
        found = told(answer, status, *errors, result={} if 2001 in errors else None)
        assert {each["code"]: each["message"] for each in found} == errors, (method, path, given)
        assert all(set(each) == {"code", "message"} for each in found)


@pytest.mark.parametrize(
    ("headers", "chain"),
    [
        (bearer(""), {6111: "Authorization"}),
        (bearer("Bearer"), {6111: "Authorization"}),
        (bearer("Bearer short"), {6111: "Authorization"}),
        (bearer(LONG), {6111: "Authorization"}),
        (bearer(f"Basic {LONG}"), {6111: "Authorization"}),
        (bearer(f"Bearer {LONG}, Bearer {LONG}"), {6111: "Authorization"}),
        (bearer(f"Bearer {'x' * 81}"), {6111: "Authorization"}),
        (bearer("Bearer {radar}") * 2, {6111: "Authorization"}),
        ([*bearer("Bearer short"), *KEY], {6111: "Authorization"}),
        ([("X-Auth-Email", "nobody"), ("X-Auth-Key", "short")], {6102: "X-Auth-Email", 6103: "X-Auth-Key"}),
        ([("X-Auth-Email", "{email}"), ("X-Auth-Key", "short")], {6103: "X-Auth-Key"}),
        ([("X-Auth-Email", "nobody"), ("X-Auth-Key", "{key}")], {6102: "X-Auth-Email"}),
        ([*KEY, KEY[1]], {6103: "X-Auth-Key"}),
    ],
)
def test_headers_of_a_bad_shape(
    http: httpx.Client, server: Server, headers: Headers, chain: dict[int, str]
) -> None:
    for path in ("/accounts", VERIFY, SUMMARY, "/no/such/route"):
        (error,) = told(ask(http, server, "GET", path, headers), 400, 6003)
        links = [
            {"code": code, "message": f"Invalid format for {name} header"} for code, name in chain.items()
        ]
        assert error == {"code": 6003, "message": "Invalid request headers", "error_chain": links}


def test_a_token_goes_before_a_key(http: httpx.Client, server: Server) -> None:
    both: Headers = [*bearer("bearer {radar}"), *KEY]
    assert ask(http, server, "GET", VERIFY, both).status_code == 200
    told(ask(http, server, "GET", "/user", both), 403, 10000)


def test_a_wrong_method_is_told_the_right_ones(http: httpx.Client, server: Server) -> None:
    assert ask(http, server, "PUT", SUMMARY, "radar").headers["allow"] == "GET, HEAD"
    assert ask(http, server, "GET", "/echo", "radar").headers["allow"] == "POST, DELETE"


@pytest.mark.parametrize(("path", "token"), [("/trouble/bug", "admin"), ("/radar/trouble/bug", "radar")])
def test_a_fault_of_ours_is_in_the_log_alone(server: Server, path: str, token: str) -> None:
    answer = server.get(path, token)
    (error,) = told(answer, 500, 2000)
    identifier = answer.headers["x-request-id"]
    assert error["message"] == f"Internal error; the log of the server has it as {identifier}"
    assert "secret" not in answer.text
    log = server.log.read_text()
    assert f"request {identifier}" in log
    assert "RuntimeError: secret of the server" in log


def test_what_sdks_send_beside_changes_nothing(http: httpx.Client, server: Server) -> None:
    beside = {
        "api-version": "2026-08-14",
        "user-agent": "Cloudflare/Python 5.9.0",
        "x-stainless-lang": "python",
    }
    more: Any = [*beside.items(), ("accept", "application/json"), ("content-type", "application/json")]
    token = bearer("Bearer {radar}")
    assert ask(http, server, "GET", SUMMARY, [*token, *more]).status_code == 200
    assert ask(http, server, "DELETE", "/echo", [*token, *more]).json()["result"] is None
