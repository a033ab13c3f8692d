"""The end of the page of the API: every route, parameter, error and shape of the OpenAPI document that a server serves."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final
from unittest.mock import patch

from halfopen.server import DATA, GRACE, KEEP_CONNECTIONS, KEEP_ROLLUPS, STORE
from halfopen.server.app import create

Schema = Mapping[str, Any]

METHODS: Final = ("get", "post", "put", "patch", "delete")
BOUNDS: Final = {"minimum": "from", "maximum": "to", "maxLength": "up to"}


def document() -> dict[str, Any]:
    """What ``/openapi.json`` answers."""
    with TemporaryDirectory() as data:
        settings = {
            DATA: data,
            STORE: f"{data}/store",
            GRACE: "180",
            KEEP_CONNECTIONS: "1",
            KEEP_ROLLUPS: "1",
        }
        Path(data).chmod(0o700)
        with patch.dict(os.environ, settings):
            app = create()
        app.state.installation.close()
    found: dict[str, Any] = app.state.document
    return found


def reference(api: Schema) -> Iterator[str]:
    """Lines of Markdown: routes by their subject, then what they share."""
    parts = api["components"]
    by_subject: dict[str, list[tuple[str, str, Schema]]] = {}
    for path, methods in api["paths"].items():
        for method in (each for each in METHODS if each in methods):
            subject = ", ".join(methods[method]["tags"])
            by_subject.setdefault(subject, []).append((method, path, methods[method]))
    yield from ("## Routes", "", f"Below `{api['servers'][0]['url']}`.", "")
    for subject, its in by_subject.items():
        yield from (f"### {subject}", "")
        for method, path, operation in its:
            yield from route(method, path, operation, parts)
    yield from ("## Parameters of several routes", "")
    for name, parameter in sorted(parts["parameters"].items()):
        yield from (f"### Parameter {name}", "", f"{place(parameter)}{words(parameter)}", "")
    yield from ("## Errors", "", "Of every route, in the shape [Failure](#shape-failure).", "")
    statuses = ((f"`{status}`", words(answer)) for status, answer in parts["responses"].items())
    yield from table(("Status", "Meaning"), statuses)
    yield from ("## Shapes", "")
    for name, shape in sorted(parts["schemas"].items()):
        rows = list(fields(shape))
        yield from (f"### Shape {name}", "", *([words(shape), ""] if "description" in shape else ()))
        yield from table(("Field", "Value", "Meaning"), rows) if rows else (f"{kind(shape)}.", "")


def route(method: str, path: str, operation: Schema, parts: Schema) -> Iterator[str]:
    """One route: what it is, its parameters, its body and what it answers."""
    yield from (f"#### {method.upper()} `{path}`", "", words(operation), "")
    own = [each for each in operation["parameters"] if "$ref" not in each]
    shared = [each["$ref"].rpartition("/")[2] for each in operation["parameters"] if "$ref" in each]
    rows = ((f"`{each['name']}`", place(each).rstrip(), words(each)) for each in own)
    yield from table(("Parameter", "Value", "Meaning"), rows)
    if shared:
        links = (f"[`{parts['parameters'][name]['name']}`](#{slug(f'Parameter {name}')})" for name in shared)
        yield from (f"{'Also' if own else 'Parameters:'} {', '.join(links)}.", "")
    if "requestBody" in operation:
        body = operation["requestBody"]["content"]["application/json"]["schema"]
        yield from (f"Body: {kind(body)}.", "")
    answers = operation["responses"]["200"]["content"]
    for content, answer in answers.items():
        result = answer["schema"].get("properties", {}).get("result")
        if result is None:
            yield f"Answer, `{content}`: {kind(answer['schema'])}."
        else:
            yield f"Answer, `{content}`: `result` is {kind(result)}."
            rows_of_result = [(name, *rest) for name, *rest in fields(result)]
            if rows_of_result:
                yield ""
                yield from table(("Field", "Value", "Meaning"), rows_of_result)
        yield ""


def place(parameter: Schema) -> str:
    """Where a parameter is written and what kind of value it takes."""
    where = "In the path, " if parameter["in"] == "path" else "Required, " if parameter["required"] else ""
    found = f"{where}{kind(parameter['schema'])}. "
    return found[0].upper() + found[1:]


def fields(schema: Schema, above: str = "") -> Iterator[tuple[str, str, str]]:
    """Name, value and meaning of each field, of those within it behind a dot, of those of arrays behind ``[]``."""
    needed = schema.get("required", ())
    inner = [(name, each, name in needed) for name, each in schema.get("properties", {}).items()]
    if isinstance(others := schema.get("additionalProperties"), Mapping):
        inner.append(("*", others, True))
    for name, each, always in inner:
        yield f"`{above}{name}`", f"{kind(each)}{'' if always else ', may lack'}", words(each)
        within = each.get("items", each)
        yield from fields(within, f"{above}{name}{'[]' if within is not each else ''}.")


def kind(schema: Schema) -> str:
    """What kind of value a schema describes, in a line."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{slug(f'Shape {name}')})"
    if "anyOf" in schema:
        return " or ".join(map(kind, schema["anyOf"]))
    if "items" in schema:
        most = f", up to {schema['maxItems']}" if "maxItems" in schema else ""
        return f"array of {kind(schema['items'])}{most}"
    if "const" in schema:
        return f"`{json.dumps(schema['const'])}`"
    if "enum" in schema:
        return f"one of {', '.join(f'`{each}`' for each in schema['enum'])}"
    kinds = schema.get("type", "any")
    found = [kinds if isinstance(kinds, str) else " or ".join(kinds)]
    found += [f"({schema['format']})"] if "format" in schema else []
    found += [f"{name} {schema[bound]:,}" for bound, name in BOUNDS.items() if bound in schema]
    found += [f"default `{json.dumps(schema['default'])}`"] if schema.get("default") is not None else []
    return " ".join(found)


def words(part: Schema) -> str:
    """The words of a part of the document."""
    return str(part.get("description", "")).replace("<", r"\<").replace("*", r"\*")


def slug(heading: str) -> str:
    """The anchor of a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Lines of a Markdown table, none where there are no rows."""
    body = [line(" ".join(cell.split()).replace("|", r"\|") for cell in row) for row in rows]
    return [line(head), line("---" for _ in head), *body, ""] if body else []


def line(cells: Iterable[str]) -> str:
    """One row of a Markdown table."""
    return f"| {' | '.join(cells)} |"
