"""What is sent by a form: only by a page of ours that this visitor was given, and only so much of it."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from urllib.parse import urlencode, urlsplit

import anyio
import pytest
from starlette.requests import Request
from starlette.types import Message

from halfopen.dashboard import visits
from halfopen.dashboard.visits import FORM_TOKEN, RefusedError, read_form
from tests.dashboard.site import Site, Visitor

FORM = "application/x-www-form-urlencoded"
FOREIGN = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "", "origin": "http://evil.example"},
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1.evil.example"},
]


def post(visitor: Visitor, path: str, fields: dict[str, str], **headers: str) -> int:
    return visitor.client.post(path, data=fields, headers=headers).status_code


def test_without_the_token_of_its_page_a_form_does_nothing(site: Site, visitor: Visitor) -> None:
    good = visitor.form_token()
    with site.visitor(site.token()[0]) as other:
        foreign = other.form_token()
    for given in (
        {"a": "b"},
        {FORM_TOKEN: ""},
        {FORM_TOKEN: foreign},
        {FORM_TOKEN: good.upper()},
        {FORM_TOKEN: "\u00e9"},
    ):
        answer = visitor.client.post("/sign-out", data=given)
        assert answer.status_code == 403
        assert "This form is out of date" in answer.text
        assert "set-cookie" not in answer.headers
    assert visitor.get("/connections").status_code == 200  # still signed in
    assert post(visitor, "/sign-out", {FORM_TOKEN: good}) == 303


@pytest.mark.parametrize("headers", FOREIGN)
def test_another_site_cannot_send_a_form(site: Site, visitor: Visitor, headers: dict[str, str]) -> None:
    fields = {FORM_TOKEN: visitor.form_token()}
    answer = visitor.client.post("/sign-out", data=fields, headers=headers)
    assert answer.status_code == 403
    assert "another site" in answer.text
    assert visitor.get("/connections").status_code == 200
    # Nor sign somebody in, as whom it likes.
    with site.visitor() as stranger:
        answer = stranger.client.post("/sign-in", data={"token": site.token()[0]}, headers=headers)
        assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)


def test_a_page_of_this_server_can(site: Site) -> None:
    own = {"origin": site.url}
    for headers in ({}, own, {"sec-fetch-site": "same-origin", **own}, {"sec-fetch-site": "none"}):
        with site.visitor() as visitor:
            assert post(visitor, "/sign-in", {"token": site.token()[0]}, **headers) == 303


def test_a_form_that_is_none_is_refused(visitor: Visitor) -> None:
    good = visitor.form_token()
    for content, kind in (
        (f'{{"{FORM_TOKEN}": "{good}"}}', "application/json"),
        (f"{FORM_TOKEN}={good}", "text/plain"),
        ("--x\r\n\r\n--x--", "multipart/form-data; boundary=x"),
        (b"\xff=\xfe", FORM),
        (urlencode({FORM_TOKEN: good}) + "&a=1" * 300, FORM),
        (b"", FORM),
    ):
        answer = visitor.client.post("/sign-out", content=content, headers={"content-type": kind})
        assert answer.status_code == 403, content
    assert visitor.get("/connections").status_code == 200


def test_a_long_form_is_not_read_to_its_end(site: Site) -> None:
    where = urlsplit(site.url)
    head = f"POST /sign-in HTTP/1.1\r\nhost: {where.netloc}\r\ncontent-type: {FORM}\r\ncontent-length: {1 << 30}\r\n\r\n"
    with socket.create_connection((where.hostname, where.port), timeout=60) as link:
        link.sendall(head.encode())
        link.sendall(b"a" * (1 << 20))
        told = link.recv(64)
    assert told.startswith(b"HTTP/1.1 403 ")


def form(receive: Callable[[], Awaitable[Message]]) -> dict[str, str]:
    request = Request({"type": "http", "headers": [(b"content-type", FORM.encode())]}, receive)
    return anyio.run(read_form, request)


def test_a_form_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits, "_FORM_WITHIN", 0.01)

    async def receive() -> Message:
        await anyio.sleep_forever()
        raise AssertionError

    with pytest.raises(RefusedError, match="cannot be read"):
        form(receive)


def test_who_leaves_in_the_middle_of_a_form_is_no_fault_of_ours() -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    with pytest.raises(RefusedError, match="cannot be read"):
        form(receive)
