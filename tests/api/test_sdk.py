"""The official SDK, pointed at us by its base URL: what it returns, and what it raises."""

from __future__ import annotations

import asyncio
from typing import Any

import cloudflare
import httpx
import pytest
from cloudflare import AsyncCloudflare, Cloudflare

from tests.api.conftest import Server
from tests.api.served import SUMMARY


def client(server: Server, token: str = "admin", retries: int = 0, **more: Any) -> Cloudflare:
    return Cloudflare(
        base_url=server.api, api_token=server.tokens[token], max_retries=retries,
        _strict_response_validation=True, **more,
    )  # fmt: skip


def test_what_it_asks_first(server: Server) -> None:
    with client(server) as ours:
        verified = ours.user.tokens.verify()
        assert verified is not None
        assert verified.status == "active"
        names = [each.name for each in ours.accounts.list(per_page=1)]
        assert names == ["Halfopen", "Another"]
        (first, _) = ours.accounts.list()
        account = ours.accounts.get(account_id=first.id)
        assert account is not None
        assert account.name == "Halfopen"
        user = ours.user.get()
        assert user is not None
        assert user.email == "admin@localhost"


@pytest.mark.parametrize(
    ("token", "path", "raised", "code"),
    [
        ("radar", f"{SUMMARY}?location=xx1", cloudflare.BadRequestError, 2001),
        ("unknown", "/user/tokens/verify", cloudflare.AuthenticationError, 1000),
        ("unknown", SUMMARY, cloudflare.PermissionDeniedError, 9109),
        ("radar", "/user", cloudflare.PermissionDeniedError, 10000),
        ("radar", "/no/such/route", cloudflare.NotFoundError, 7003),
        ("admin", "/trouble/missing", cloudflare.NotFoundError, 1003),
        ("admin", "/trouble/conflict", cloudflare.ConflictError, 1013),
        ("admin", "/trouble/cost", cloudflare.UnprocessableEntityError, 2002),
        ("admin", "/trouble/bug", cloudflare.InternalServerError, 2000),
    ],
)
def test_each_error_has_its_exception(
    server: Server, token: str, path: str, raised: type[cloudflare.APIStatusError], code: int
) -> None:
    with client(server, token) as ours, pytest.raises(raised) as failed:
        ours.get(path, cast_to=object)
    assert type(failed.value) is raised
    assert failed.value.errors[0].code == code


@pytest.mark.parametrize(
    ("token", "path", "attempts"),
    [
        ("radar", f"{SUMMARY}?location=xx1", 1),
        ("unknown", "/user/tokens/verify", 1),
        ("unknown", SUMMARY, 1),
        ("admin", "/trouble/missing", 1),
        ("admin", "/trouble/cost", 1),
        ("admin", "/trouble/conflict", 2),
        ("admin", "/trouble/bug", 2),
    ],
)
def test_it_asks_again_where_that_may_help(server: Server, token: str, path: str, attempts: int) -> None:
    asked: list[httpx.Request] = []
    with (
        httpx.Client(event_hooks={"request": [asked.append]}) as http,
        pytest.raises(cloudflare.APIStatusError),
    ):
        client(server, token, retries=1, http_client=http).get(path, cast_to=object)
    assert len(asked) == attempts


def test_a_wrong_method_is_a_plain_status_error(server: Server) -> None:
    with client(server) as ours, pytest.raises(cloudflare.APIStatusError) as failed:
        ours.put(SUMMARY, cast_to=object)
    assert type(failed.value) is cloudflare.APIStatusError
    assert failed.value.status_code == 405


def test_the_older_scheme(server: Server) -> None:
    with Cloudflare(base_url=server.api, api_email=server.email, api_key=server.key) as ours:
        user = ours.user.get()
    assert user is not None
    assert user.email == server.email


async def asked(server: Server) -> str | None:
    async with AsyncCloudflare(base_url=server.api, api_token=server.tokens["radar"]) as ours:
        verified = await ours.user.tokens.verify()
    return verified.status if verified else None


def test_the_asynchronous_one(server: Server) -> None:
    assert asyncio.run(asked(server)) == "active"


def test_it_waits_as_long_as_it_is_told_and_asks_again(busy: Server) -> None:
    with client(busy, "scoped", retries=2) as ours:
        for _ in range(5):  # three are granted at once, then one each second
            assert ours.user.tokens.verify() is not None


def test_without_retries_it_raises(busy: Server) -> None:
    with client(busy, "admin") as ours:
        for _ in range(3):
            ours.user.tokens.verify()
        with pytest.raises(cloudflare.RateLimitError):
            ours.user.tokens.verify()
