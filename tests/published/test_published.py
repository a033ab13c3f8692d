"""Our document held against what Cloudflare publishes of the same paths: all that differs is listed, each with its reason.

`facts.json` is made by scripts/published.py, `differences.toml` by hand; there `*` stands for anything. A difference without
a reason fails, and so does a reason without a difference: a path that is not here yet stands in the list until it is.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.house.project import script
from tests.server.inside import serving

HERE = Path(__file__).parent

Facts = Mapping[str, Mapping[str, Mapping[str, Any]]]


def shape(name: str) -> str:
    """A path by which the same one is found whatever its parameters are called."""
    return re.sub(r"\{\w+\}", "{}", name)


def differences(published: Facts, ours: Facts) -> Iterator[str]:
    """What a client of Cloudflare's could miss or meet unexpectedly; what is here beyond that is no difference."""
    here = {shape(name): found for name, found in ours.items()}
    for name, facts in published.items():
        if (found := here.get(shape(name))) is None:
            yield f"{name}: not here"
            continue
        gone = ""
        for fact, said in facts.items():
            if gone and fact.startswith((f"{gone}.", f"{gone}[")):
                continue
            if (mine := _found(found, fact)) is not None:
                exact = not fact[0].isdigit()
                yield from (f"{name} {fact} {words}" for words in _apart(said, mine, exact))
            else:
                gone = fact
                if said["required"] or not fact[0].isdigit():
                    yield f"{name} {fact}: not here"


def _found(found: Mapping[str, Mapping[str, Any]], fact: str) -> Mapping[str, Any] | None:
    """The same of ours: a series may have any name, and all errors look alike."""
    alike = re.sub(r"^4XX", "400", re.sub(r"\.(summary|serie)_0(?=\.|$)", ".*", fact))
    return found.get(fact) or found.get(alike)


def _apart(said: Mapping[str, Any], mine: Mapping[str, Any], exact: bool) -> Iterator[str]:
    """How two values differ. One of an answer, not `exact`, may promise more here than there."""
    for key in sorted({*said, *mine}):
        there, here = said.get(key), mine.get(key)
        if key == "items":
            yield from (f"items {words}" for words in _apart(there or {}, here or {}, exact))
        elif there == here or (not exact and not (here if key == "nullable" else there)):
            continue
        elif key == "enum" and there and here:
            if lacking := [str(each) for each in there if each not in here]:
                yield f"enum: without {' '.join(lacking)}"
            if further := [str(each) for each in here if each not in there]:
                yield f"enum: and {' '.join(further)}"
        elif there and here:
            yield f"{key}: {json.dumps(there)} there, {json.dumps(here)} here"
        else:
            yield f"{key}: {'there' if there else 'here'} only"


def test_all_that_differs_has_its_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(tmp_path, monkeypatch) as client:
        document = client.get("/openapi.json").json()
    published = json.loads((HERE / "facts.json").read_text())
    assert published.pop("source")
    ours = script("published.py")["Document"](document).facts()
    listed = tomllib.loads((HERE / "differences.toml").read_text())["difference"]
    assert all(each["reason"] for each in listed)
    explained = {fact: _alike(fact) for each in listed for fact in each["facts"]}
    found = list(differences(published, ours))
    assert [each for each in found if not any(alike.fullmatch(each) for alike in explained.values())] == []
    assert [fact for fact, alike in explained.items() if not any(map(alike.fullmatch, found))] == []


def _alike(fact: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, fact.split("*"))))


def test_what_counts_as_a_difference() -> None:
    asked = {"required": False, "type": "string", "enum": ["A", "B"]}
    there: Facts = {
        "GET /a/{x}": {
            "query q": asked,
            "200.result": {"required": True, "type": "object"},
            "200.result.id": {"required": True, "type": "string"},
            "200.result.more": {"required": False, "type": "object"},
            "200.result.more.one": {"required": True, "type": "string"},
            "200.result.note": {"required": False, "type": "string"},
            "200.result.summary_0": {"required": False, "type": "object"},
            "200.result.summary_0.one": {"required": True, "type": "string"},
        }
    }
    assert list(differences(there, {"GET /b/{y}": {}})) == ["GET /a/{x}: not here"]
    assert list(differences(there, {"GET /a/{y}": {}})) == [
        "GET /a/{x} query q: not here",
        "GET /a/{x} 200.result: not here",
    ]
    ours = {
        "query q": asked | {"enum": ["B", "C"], "pattern": "x"},
        "query more": asked,
        "200.result": {"required": True, "type": "object"},
        "200.result.id": {"required": True, "type": "string", "nullable": True, "format": "uuid"},
        "200.result.note": {"required": True, "type": "string"},
        "200.result.*": {"required": False, "type": "object"},
        "200.result.*.one": {"required": True, "type": "integer"},
    }
    assert list(differences(there, {"GET /a/{y}": ours})) == [
        "GET /a/{x} query q enum: without A",
        "GET /a/{x} query q enum: and C",
        "GET /a/{x} query q pattern: here only",
        "GET /a/{x} 200.result.id nullable: here only",
        'GET /a/{x} 200.result.summary_0.one type: "string" there, "integer" here',
    ]


def test_schemas_are_reduced_to_what_they_say() -> None:
    schemas = {
        "Common": {"type": "object", "properties": {"ok": {"const": True}}, "required": ["ok"]},
        "Tree": {"properties": {"inner": {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}}}},
    }
    result = {"anyOf": [{"$ref": "#/components/schemas/Tree"}, {"type": "null"}]}
    whole = {"allOf": [{"$ref": "#/components/schemas/Common"}, {"properties": {"result": result}}]}
    address = {"anyOf": [{"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}]}
    operation = {
        "parameters": [
            {"in": "path", "name": "x", "required": True, "schema": {"type": ["string", "null"], "description": "words"}},
            {"in": "query", "name": "ip", "schema": address},
            {"in": "query", "name": "n", "schema": {"type": "integer", "exclusiveMinimum": 0}},
        ],
        "requestBody": {"content": {"application/json": {"schema": {"properties": {"x": {"enum": [1]}}, "required": ["x"]}}}},
        "responses": {"200": {"content": {"application/json": {"schema": whole}}}},
    }  # fmt: skip
    made = script("published.py")["Document"](
        {"paths": {"/a/{x}": {"get": operation}}, "components": {"schemas": schemas}}
    )
    assert made.facts() == {
        "GET /a/{x}": {
            "path 1": {"required": True, "type": "string", "nullable": True},
            "query ip": {"required": False, "type": "string", "format": "ipv4 or ipv6"},
            "query n": {"required": False, "type": "integer", "minimum": 1},
            "body.x": {"required": True, "type": "integer", "enum": [1]},
            "200.ok": {"required": True, "type": "boolean", "enum": [True]},
            "200.result": {"required": False, "type": "object", "nullable": True},
            "200.result.inner": {"required": False, "type": "array", "items": {"type": "object"}},
            "200.result.inner[].inner": {"required": False, "type": "array", "items": {"type": "object"}},
        }
    }
