"""The official TypeScript SDK, pointed at us by its base URL: what it throws."""

from __future__ import annotations

from typing import Any

from tests.api.conftest import Server
from tests.api.served import SUMMARY
from tests.conftest import Require
from tests.typescript.node import told_by


def thrown(
    server: Server, token: str, require: Require, *asked: tuple[str, str, dict[str, Any]]
) -> list[Any]:
    """(class of the SDK, status, first code) for each request; None where nothing was thrown."""
    told = told_by("errors.mjs", server.api, server.tokens[token], require, asked)
    return [each and (each["kind"], each["status"], each["errors"][0]["code"]) for each in told]


def test_each_error_has_its_class(server: Server, require: Require) -> None:
    assert thrown(
        server, "admin", require,
        ("get", SUMMARY, {"location": ["US", "xx1"]}),
        ("get", "/trouble/missing", {}),
        ("get", "/no/such/route", {}),
        ("put", SUMMARY, {}),
        ("get", "/trouble/conflict", {}),
        ("get", "/trouble/cost", {}),
        ("get", "/trouble/bug", {}),
        ("get", SUMMARY, {"location": ["US", ""]}),
    ) == [
        ("BadRequestError", 400, 2001),
        ("NotFoundError", 404, 1003),
        ("NotFoundError", 404, 7003),
        ("APIError", 405, 10405),
        ("ConflictError", 409, 1013),
        ("UnprocessableEntityError", 422, 2002),
        ("InternalServerError", 500, 2000),
        None,
    ]  # fmt: skip


def test_credentials_that_are_not_good(server: Server, require: Require) -> None:
    assert thrown(server, "unknown", require, ("get", "/user/tokens/verify", {}), ("get", SUMMARY, {})) == [
        ("AuthenticationError", 401, 1000),
        ("PermissionDeniedError", 403, 9109),
    ]
    assert thrown(server, "radar", require, ("get", "/user", {})) == [("PermissionDeniedError", 403, 10000)]


def test_too_many_requests(busy: Server, require: Require) -> None:
    told = thrown(busy, "user", require, *[("get", "/user/tokens/verify", {})] * 6)
    assert told[:3] == [None, None, None]
    assert ("RateLimitError", 429, 971) in told
