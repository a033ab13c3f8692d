"""The page of the API: the OpenAPI document for readers, every route, parameter, shape and error of it.

Written here and not taken from a package: viewers need scripts and styles put in by scripts, or fetch them from another
host, and are a thousand times as large.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

from starlette.responses import Response

from halfopen.server.html import page

Schema = Mapping[str, Any]

_BOUNDS: Final = {"minimum": "from", "maximum": "to", "maxItems": "up to", "maxLength": "up to"}
_CODE: Final = re.compile("`([^`]+)`")
_AS_CODE: Final = r"<code>\1</code>"
_METHODS: Final = ("get", "post", "put", "patch", "delete")


def document_page(document: Mapping[str, Any]) -> Response:
    """The page of a document that `api.openapi` made."""
    return page("The API of Halfopen", "\n".join(_Writer(document).parts()))


class _Writer:
    """One document, written part by part."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._components = document["components"]

    def parts(self) -> Iterator[str]:
        info, (server,) = self._document["info"], self._document["servers"]
        yield (
            f"<p>Version {escape(info['version'])}. All paths below lie under <code>{escape(server['url'])}</code> of this "
            'server. <a href="/openapi.json">The same for programs</a>.</p>'
        )
        by_tag: dict[str, list[tuple[str, str, Schema]]] = {}
        for path, methods in self._document["paths"].items():
            for method in _METHODS:
                if method in methods:
                    operation = methods[method]
                    for tag in operation.get("tags", ("Others",)):
                        by_tag.setdefault(tag, []).append((method.upper(), path, operation))
        yield "<nav>"
        for tag, operations in by_tag.items():
            links = "".join(
                f"<li>{_link(operation['operationId'], _named(*rest))}</li>"
                for *rest, operation in operations
            )
            yield f"<h3>{escape(tag)}</h3><ul>{links}</ul>"
        yield "</nav>"
        yield from self._credentials()
        for tag, operations in by_tag.items():
            yield f"<h2>{escape(tag)}</h2>"
            for each in operations:
                yield from self._operation(*each)
        yield from self._shared()
        yield from self._errors()
        yield "<h2>Shapes</h2>"
        for name, schema in sorted(self._components["schemas"].items()):
            yield f'<article id="{_shape_id(name)}"><h3>{escape(name)}</h3>{self._shape(schema)}</article>'

    def _credentials(self) -> Iterator[str]:
        schemes = self._components["securitySchemes"]
        yield "<h2>Credentials</h2><p>One of:</p><ul>"
        for needed in self._document["security"]:
            ways = [
                "<code>Authorization: Bearer</code> and a token"
                if schemes[name]["type"] == "http"
                else f"<code>{escape(schemes[name]['name'])}</code>"
                for name in needed
            ]
            yield f"<li>{' with '.join(ways)}</li>"
        yield "</ul>"

    def _operation(self, method: str, path: str, operation: Schema) -> Iterator[str]:
        yield f'<article id="{escape(operation["operationId"])}"><h3>{_named(method, path)}</h3>'
        yield _words(operation["description"])
        if parameters := operation["parameters"]:
            yield f"<h4>Parameters</h4><dl>{''.join(map(self._parameter, parameters))}</dl>"
        answer = self._followed(operation["responses"]["200"])
        for kind, content in answer["content"].items():
            yield f"<h4>Answer, <code>{escape(kind)}</code></h4>"
            fields = content["schema"].get("properties", {})
            if "result" not in fields:
                yield f"<p>{self._kind(content['schema'])}</p>"
            for name in ("result", "result_info"):
                if name in fields:
                    yield f"<dl>{self._field(name, fields[name], required=True)}</dl>"
        yield "</article>"

    def _parameter(self, given: Schema) -> str:
        """A parameter; one that several routes have only by its name and kind, with a link to where it is told."""
        parameter = self._followed(given)
        name = f"<code>{escape(parameter['name'])}</code>"
        if given is not parameter:
            return f"<dt>{_link(_parameter_id(given['$ref']), name)} {self._kind(parameter['schema'])}</dt>"
        place = "in the path" if parameter["in"] == "path" else "required" if parameter["required"] else ""
        schema = parameter["schema"]
        pattern = schema.get("items", schema).get("pattern")
        shown = (
            f"<details><summary>pattern</summary><code>{escape(pattern)}</code></details>" if pattern else ""
        )
        return (
            f"<dt>{name} {self._kind(schema)} <small>{place}</small></dt>"
            f"<dd>{_words(parameter['description'])}{shown}</dd>"
        )

    def _shared(self) -> Iterator[str]:
        yield "<h2>Parameters of several routes</h2>"
        for name, parameter in self._components["parameters"].items():
            yield f'<dl id="{_parameter_id(name)}">{self._parameter(parameter)}</dl>'

    def _errors(self) -> Iterator[str]:
        yield '<h2 id="errors">Errors</h2><p>Of every route, in the shape of '
        yield f"{self._kind({'$ref': '#/components/schemas/Failure'})}:</p><dl>"
        for status, answer in self._components["responses"].items():
            yield f"<dt><code>{escape(status)}</code></dt><dd>{_words(answer['description'])}</dd>"
        yield "</dl>"

    def _shape(self, schema: Schema) -> str:
        """A schema with its words and fields."""
        words = _words(schema["description"]) if "description" in schema else ""
        fields = self._fields(schema)
        return f"{words}<dl>{fields}</dl>" if fields else f"{words}<p>{self._kind(schema)}</p>"

    def _fields(self, schema: Schema) -> str:
        needed = schema.get("required", ())
        fields = [
            self._field(name, each, required=name in needed)
            for name, each in schema.get("properties", {}).items()
        ]
        if isinstance(others := schema.get("additionalProperties"), Mapping):
            fields.append(self._field("", others, required=True))
        return "".join(fields)

    def _field(self, name: str, schema: Schema, *, required: bool) -> str:
        title = f"<code>{escape(name)}</code>" if name else "any other name"
        inner = self._fields(schema.get("items", schema))
        nested = f"<dl>{inner}</dl>" if inner else ""
        return (
            f"<dt>{title} {self._kind(schema)} <small>{'' if required else 'may lack'}</small></dt>"
            f"<dd>{_words(schema.get('description', ''))}{nested}</dd>"
        )

    def _kind(self, schema: Schema) -> str:
        """What kind of value a schema describes, in a line."""
        if "$ref" in schema:
            name = schema["$ref"].rpartition("/")[2]
            return _link(_shape_id(name), escape(name))
        if "anyOf" in schema:
            return " or ".join(map(self._kind, schema["anyOf"]))
        if "items" in schema:
            most = f", up to {schema['maxItems']}" if "maxItems" in schema else ""
            return f"array of {self._kind(schema['items'])}{most}"
        if "const" in schema:
            return f"<code>{escape(str(schema['const']).lower())}</code>"
        if "enum" in schema:
            return f"one of {', '.join(f'<code>{escape(str(each))}</code>' for each in schema['enum'])}"
        kinds = schema.get("type", "any")
        words = [escape(kinds if isinstance(kinds, str) else " or ".join(kinds))]
        words += [f"({escape(schema['format'])})"] if "format" in schema else []
        words += [f"{name} {schema[bound]:,}" for bound, name in _BOUNDS.items() if bound in schema]
        words += [f"default {schema['default']}"] if schema.get("default") is not None else []
        return " ".join(words)

    def _followed(self, given: Schema) -> Schema:
        if "$ref" not in given:
            return given
        kind, name = given["$ref"].split("/")[-2:]
        found: Schema = self._components[kind][name]
        return found


def _named(method: str, path: str) -> str:
    # Where a narrow screen may break the line.
    shown = escape(path).replace("/", "/<wbr>").replace("_", "_<wbr>")
    return f"{method} <code>{shown}</code>"


def _link(identifier: str, text: str) -> str:
    return f'<a href="#{escape(identifier)}">{text}</a>'


def _parameter_id(name: str) -> str:
    return f"parameter-{escape(name.rpartition('/')[2])}"


def _shape_id(name: str) -> str:
    return f"shape-{escape(name)}"


def _words(text: str) -> str:
    """Paragraphs, with what stands between backticks as code."""
    paragraphs = escape(text).split("\n\n") if text else ()
    return "".join(f"<p>{_CODE.sub(_AS_CODE, each)}</p>" for each in paragraphs)
