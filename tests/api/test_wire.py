"""What goes over the wire beside errors: envelope, identity, sizes, log."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import httpx

from tests.api.conftest import Server
from tests.api.served import SUMMARY

VERIFY = "/user/tokens/verify"


def told(answer: httpx.Response, status: int, *codes: int, result: Any = None) -> list[dict[str, Any]]:
    """The faults of an answer, which has all that every error has."""
    body = answer.json()
    assert answer.status_code == status, body
    assert answer.headers["content-type"] == "application/json"
    assert list(body) == ["success", "errors", "messages", "result"]
    assert (body["success"], body["messages"], body["result"]) == (False, [], result)
    assert [each["code"] for each in body["errors"]] == list(codes)
    assert ("retry-after" in answer.headers) == (status == 429)
    assert "Traceback" not in answer.text
    errors: list[dict[str, Any]] = body["errors"]
    return errors


def test_an_answer_has_the_whole_envelope(server: Server) -> None:
    answer = server.get(SUMMARY, params={"location": ["US", "", "-pt"]})
    assert answer.headers["content-type"] == "application/json"
    assert answer.content == (
        b'{"success":true,"errors":[],"messages":[],"result":{"location":["US","","-pt"]}}'
    )


def test_a_good_token_is_verified(server: Server) -> None:
    body = server.get(VERIFY).json()
    assert body["success"] is True
    assert body["messages"] == []
    assert body["result"]["status"] == "active"
    assert list(body["result"]) == ["id", "status"]
    assert len(body["result"]["id"]) == 32


def test_the_end_of_a_token_is_told_with_it(server: Server) -> None:
    token, record = server.accounts.create_token(["radar:read"], expires=timedelta(days=30))
    answer = httpx.get(server.api + VERIFY, headers={"Authorization": f"Bearer {token}"})
    assert datetime.fromisoformat(answer.json()["result"]["expires_on"]) == record.expires


def test_the_older_scheme(server: Server) -> None:
    good = {"X-Auth-Email": server.email, "X-Auth-Key": server.key}
    user = httpx.get(f"{server.api}/user", headers=good).json()["result"]
    assert user["email"] == server.email


def test_permissions_of_either_name_open_radar(server: Server) -> None:
    for token in ("radar", "user", "admin"):
        assert server.get(SUMMARY, token).status_code == 200


def test_outside_of_the_api_the_envelope_stays(server: Server) -> None:
    told(httpx.get(f"{server.url}/nothing"), 404, 7003, 7000)
    told(httpx.post(f"{server.url}/healthz"), 405, 10405)


def test_every_fault_is_in_one_answer_and_in_json(server: Server) -> None:
    answer = server.get(
        SUMMARY, params={"location": ["US", "string", "-PT1"], "format": "CSV", "dateStart": "2026-01-01"}
    )
    errors = told(answer, 400, 2001, 2001, 2001, result={})
    assert [each["message"] for each in errors] == [
        'location: "string" is not an ISO 3166-1 alpha-2 code',
        'location: "-PT1" is not an ISO 3166-1 alpha-2 code',
        "dateStart: given without dateEnd",
    ]
    told(server.get(SUMMARY + "?format=XML&format=CSV"), 400, 2001, result={})
    told(server.get(SUMMARY, params={"location": "US\n"}), 400, 2001, result={})


def test_what_is_not_declared_is_left_aside(server: Server) -> None:
    answer = server.get(SUMMARY, params={"normalization": "x", "format": "csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.text == "a,b\r\n1,2\r\n"


def test_sizes(server: Server) -> None:
    told(server.get(SUMMARY, params={"a": "b" * 5000}), 414, 2001)
    told(server.get(SUMMARY + "?" + "a&" * 600), 414, 2001, result=None)
    headers = {"Authorization": f"Bearer {server.tokens['radar']}", "X-Long": "a" * 9000}
    told(httpx.get(server.api + SUMMARY, headers=headers), 431, 6003)
    assert server.ask("POST", "/echo", "sensor", content=b"a" * 1000).status_code == 200
    told(server.ask("POST", "/echo", "sensor", content=b"a" * 1001), 413, 2001)
    told(server.ask("POST", "/echo", "sensor", content=iter([b"a" * 600] * 2)), 413, 2001)


def test_a_head_is_a_get_without_its_body(server: Server) -> None:
    head, get = server.ask("HEAD", SUMMARY), server.get(SUMMARY)
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == str(len(get.content))
    assert httpx.head(f"{server.url}/healthz").status_code == 200


def test_accounts(server: Server) -> None:
    every = server.get("/accounts", "admin").json()
    assert [each["name"] for each in every["result"]] == ["Halfopen", "Another"]
    assert every["result_info"] == {"count": 2, "page": 1, "per_page": 20, "total_count": 2}
    own = every["result"][0]
    assert [each["id"] for each in server.get("/accounts", "scoped").json()["result"]] == [own["id"]]
    second = server.get("/accounts", "admin", params={"page": 2, "per_page": 1}).json()
    assert [each["name"] for each in second["result"]] == ["Another"]
    past = server.get("/accounts", params={"page": 3}).json()
    assert (past["result"], past["result_info"]["total_count"]) == ([], 2)
    told(server.get("/accounts", params={"page": 0, "per_page": 51}), 400, 1001, 1001)
    assert server.get("/accounts", params={"direction": "desc"}).json()["result"][0]["name"] == "Another"
    assert len(server.get("/accounts", params={"name": "Another"}).json()["result"]) == 1
    assert server.get(f"/accounts/{own['id']}", "scoped").json()["result"] == own


def test_an_account_of_others_is_told_as_one_that_is_not_there(server: Server) -> None:
    foreign, unknown = (server.get(f"/accounts/{each}", "scoped") for each in (server.foreign.id, "0" * 32))
    told(foreign, 403, 10000)
    assert foreign.content == unknown.content
    told(server.get(f"/accounts/{server.foreign.id}/things", "scoped"), 403, 10000)
    assert server.get(f"/accounts/{server.foreign.id}/things", "admin").status_code == 200


def test_a_token_is_useless_as_soon_as_it_is_revoked(server: Server) -> None:
    token, record = server.accounts.create_token(["radar:read"])
    headers = {"Authorization": f"Bearer {token}"}
    assert httpx.get(f"{server.api}/accounts", headers=headers).status_code == 200
    server.accounts.revoke_token(record.id)
    told(httpx.get(f"{server.api}/accounts", headers=headers), 403, 9109)


def test_health(server: Server) -> None:
    assert httpx.get(f"{server.url}/healthz").json() == {"status": "ok"}
    assert httpx.get(f"{server.url}/readyz").json() == {"status": "ok"}
    (server.data / "waiting").touch()
    try:
        answer = httpx.get(f"{server.url}/readyz")
        assert (answer.status_code, answer.json()) == (503, {"status": "waiting", "missing": ["store"]})
    finally:
        (server.data / "waiting").unlink()


def test_one_line_of_log_for_each_request(server: Server) -> None:
    answer = server.get(SUMMARY + "?location=US", "revoked", follow_redirects=False)
    said = server.logged(answer)
    assert said["status"] == 403
    assert said["refused"] == "revoked"
    assert said["path"] == f"/client/v4{SUMMARY}"
    assert said["bytes"] == len(answer.content)
    assert "who" not in said
    good = server.get(VERIFY)
    assert server.logged(good)["who"] == f"token:{good.json()['result']['id']}"
    log = server.log.read_text()
    assert log.count(answer.headers["x-request-id"]) == 1
    assert server.tokens["revoked"] not in log
