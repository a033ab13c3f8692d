"""Reduces an OpenAPI document of Cloudflare's to the facts of the family that Halfopen answers, without its texts.

    python scripts/published.py openapi.json --source WHERE > tests/published/facts.json

A fact is a path with its method, a parameter, or a field of a body or an answer, and what a client can rely on: type, enum,
pattern, bounds, whether it is required. tests/published holds our own document against them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

FAMILY = (
    "/radar/tcp_resets_timeouts/", "/radar/annotations", "/radar/entities/", "/radar/search/global",
    "/user/tokens/verify", "/user", "/accounts", "/accounts/{account_id}",
)  # fmt: skip
"""Paths of GETs, and with a slash at the end or below /radar what begins with them."""

TUNNELS = ("/accounts/{account_id}/cfd_tunnel", "/accounts/{account_id}/tunnels")
"""What all paths of tunnels begin with, whatever their method."""

KEPT = (
    "enum", "pattern", "format", "default", "minimum", "maximum", "minLength", "maxLength", "maxItems", "uniqueItems",
)  # fmt: skip

Schema = Mapping[str, Any]
Facts = dict[str, dict[str, dict[str, Any]]]


class Document:
    """A document whose references are followed."""

    def __init__(self, whole: Mapping[str, Any]) -> None:
        self.whole = whole

    def facts(self) -> Facts:
        """By method and path, by parameter or field: what is said of it. Names within a path do not count."""
        found: Facts = {}
        for path, item in sorted(self.whole["paths"].items()):
            for method in ("get", "post", "put", "patch", "delete"):
                if method in item:
                    shared = item.get("parameters", ())
                    found[f"{method.upper()} {path}"] = dict(self._operation(item[method], shared))
        return found

    def _operation(
        self, operation: Mapping[str, Any], shared: Iterable[Any]
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        in_path = 0
        for given in (*shared, *operation.get("parameters", ())):
            parameter = self._followed(given)
            name = f"{parameter['in']} {parameter['name']}"
            if parameter["in"] == "path":
                in_path += 1
                name = f"path {in_path}"
            schema = self._merged(parameter["schema"])
            yield name, {"required": parameter.get("required", False)} | self._kind(schema)
        told = {"body": operation.get("requestBody", {}), **dict(sorted(operation["responses"].items()))}
        for name, given in told.items():
            content = self._followed(given).get("content", {}).get("application/json")
            if content is not None:
                yield from self._fields(name, content["schema"])

    def _fields(
        self, name: str, given: Schema, within: frozenset[str] = frozenset()
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        if given.get("$ref") in within:
            return  # it holds itself
        within |= {given["$ref"]} if "$ref" in given else set()
        schema = self._merged(given)
        needed = schema.get("required", ())
        inner = {key: (each, key in needed) for key, each in schema.get("properties", {}).items()}
        if isinstance(schema.get("additionalProperties"), Mapping):
            inner["*"] = (schema["additionalProperties"], False)
        if "items" in schema:
            yield from self._fields(f"{name}[]", schema["items"], within)
        for key, (each, required) in sorted(inner.items()):
            yield f"{name}.{key}", {"required": required} | self._kind(self._merged(each))
            yield from self._fields(f"{name}.{key}", each, within)

    def _kind(self, schema: Schema) -> dict[str, Any]:
        """What is said of one value; of an array what is said of its elements as well."""
        kind: dict[str, Any] = {"type": schema.get("type", "")}
        if schema.get("nullable"):
            kind["nullable"] = True
        kind |= {name: schema[name] for name in KEPT if name in schema}
        if isinstance(kind.get("enum"), list):
            kind["enum"] = sorted(kind["enum"], key=str)
        if "items" in schema:
            kind["items"] = self._kind(self._merged(schema["items"]))
        return kind

    def _followed(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in given:
            found: Any = self.whole
            for part in given["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            given = found
        return given

    def _merged(self, given: Schema) -> dict[str, Any]:
        """A schema with `allOf` put together, alternatives that differ in their format or by null joined, and its type."""
        schema = dict(self._followed(given))
        for part in schema.pop("allOf", ()):
            other = self._merged(part)
            properties = schema.get("properties", {}) | other.pop("properties", {})
            required = [*schema.get("required", ()), *other.pop("required", ())]
            schema |= other | {"properties": properties, "required": required}
        alternatives = [self._merged(each) for each in schema.pop("anyOf", schema.pop("oneOf", ()))]
        real = [each for each in alternatives if each["type"] != "null"]
        if real:
            formats = [each["format"] for each in real if "format" in each]
            schema = real[0] | schema | ({"format": " or ".join(formats)} if formats else {})
            schema["nullable"] = schema.get("nullable", False) or len(real) < len(alternatives)
        if "const" in schema:
            schema["enum"] = [schema.pop("const")]
        kinds = schema.get("type", [])
        kinds = [kinds] if isinstance(kinds, str) else list(kinds)
        if "null" in kinds:
            schema["nullable"] = True
            kinds = [each for each in kinds if each != "null"] or ["null"]
        schema["type"] = " or ".join(kinds) or _guessed(schema)
        if schema["type"] == "integer" and "exclusiveMinimum" in schema:
            schema["minimum"] = schema.pop("exclusiveMinimum") + 1
        return schema


def _guessed(schema: Schema) -> str:
    """The type of a schema that leaves it out."""
    if "properties" in schema:
        return "object"
    names = {bool: "boolean", int: "integer", float: "number", str: "string", type(None): "null"}
    return " or ".join(sorted({names[type(each)] for each in schema.get("enum", ())}))


def family(facts: Facts) -> Facts:
    """The operations of the family."""
    return {name: found for name, found in facts.items() if _belongs(name)}


def _belongs(name: str) -> bool:
    method, _, path = name.partition(" ")
    return path.startswith(TUNNELS) or (
        method == "GET"
        and (path in FAMILY or path.startswith(tuple(each for each in FAMILY if each.startswith("/radar/"))))
    )


def main() -> None:
    """Print the facts of the family as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("document", type=Path, help="an OpenAPI document in JSON")
    parser.add_argument("--source", required=True, help="where the document is from, and of which day")
    args = parser.parse_args()
    facts = family(Document(json.loads(args.document.read_text())).facts())
    print(f'{{\n"source": {json.dumps(args.source)}', end="")
    for name, found in facts.items():
        lines = [f" {json.dumps(each)}: {json.dumps(said, sort_keys=True)}" for each, said in found.items()]
        print(f",\n{json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n}", end="")
    print("\n}")


if __name__ == "__main__":
    main()
