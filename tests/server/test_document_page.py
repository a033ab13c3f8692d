"""The page of the API: complete, without scripts, without anything of another host."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

from halfopen.server.document_page import document_page
from tests.server.inside import serving

EMPTY = {"meta", "wbr"}


class Page(HTMLParser):
    """What stands in a page; tags must be closed in the order in which they were opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.words = ""
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx.Client]:
    with serving(tmp_path, monkeypatch) as found:
        del found.headers["Authorization"]  # both are open to everybody
        yield found


def test_everything_of_the_document_is_told(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    page = Page(client.get("/docs").text)
    shared = document["components"]["parameters"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert f"{method.upper()} {path}" in page.words
            for paragraph in operation["description"].split("\n\n"):
                assert paragraph.replace("`", "") in page.words
            assert ("id", operation["operationId"]) in page.attributes
            for parameter in operation["parameters"]:
                known = shared[parameter["$ref"].rpartition("/")[2]] if "$ref" in parameter else parameter
                schema = known["schema"].get("items", known["schema"])
                for value in (known["name"], schema.get("pattern", ""), *schema.get("enum", ())):
                    assert value in page.words
    for name, schema in document["components"]["schemas"].items():
        assert ("id", f"shape-{name}") in page.attributes
        assert all(field in page.words for field in schema.get("properties", {}))
    assert set(document["components"]["responses"]) <= set(re.findall(r"\d{3}", page.words))


def test_the_page_needs_nothing_and_lets_nothing_in(client: httpx.Client) -> None:
    answer = client.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    page = Page(answer.text)
    assert not page.tags & {"script", "img", "iframe", "link", "object", "form"}
    assert {name for name, _ in page.attributes} <= {"lang", "charset", "name", "content", "href", "id"}
    targets = {f"#{value}" for name, value in page.attributes if name == "id"}
    assert {value for name, value in page.attributes if name == "href"} <= targets | {"/openapi.json"}
    (style,) = re.findall("<style>(.*?)</style>", answer.text)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert answer.headers["content-security-policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert "url(" not in style
    assert "prefers-color-scheme" in style or "color-scheme:light dark" in style
    assert client.post("/docs").status_code == 405


def test_words_of_the_document_are_words(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    evil = '<script>alert("1")</script>`<b>`'
    operation = document["paths"]["/user"]["get"]
    operation["description"] = evil
    operation["parameters"] = [
        {
            "in": "query",
            "name": evil,
            "required": True,
            "description": evil,
            "schema": {"type": "string", "pattern": evil},
        }
    ]
    document["components"]["schemas"][evil] = {"type": "object", "properties": {evil: {"enum": [evil]}}}
    text = bytes(document_page(document).body).decode()
    assert not Page(text).tags & {"script", "b"}
    assert text.count("&lt;script&gt;") > 5
    assert "alert" in unescape(text)
