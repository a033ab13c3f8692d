"""The OpenAPI 3.1 document of a table of routes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from halfopen.accounts.permissions import PERMISSIONS, opens
from halfopen.api.application import PREFIX
from halfopen.api.envelope import ResultInfo
from halfopen.api.parameters import Parameter
from halfopen.api.routes import NULL, Route
from halfopen.api.shapes import REF, described

_ERROR_WORDS: Final = {
    400: "A parameter cannot be used, all of them are named; or credentials are missing or have not the right shape.",
    401: "The token to be verified is not good.",
    403: "The token is not good, or has no permission for this.",
    404: "No such route, or nothing under this identifier.",
    405: "The route has no such method.",
    408: "The body does not come in time.",
    409: "What is asked for contradicts what is there.",
    413: "The body is larger than what is read.",
    414: "The URL is longer than what is read.",
    422: "The query is over what one may cost.",
    429: "Too many requests; retry-after says when to ask again.",
    431: "The headers are larger than what is read.",
    500: "A fault of the server.",
    501: "A part of Cloudflare's API that is not offered here.",
    503: "Something that the answer needs is away.",
}

_FAULT: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["code", "message"],
    "properties": {
        "code": {"type": "integer"},
        "message": {"type": "string"},
        "error_chain": {"type": "array", "items": {"$ref": REF.format(name="Error")}},
    },
}

_NONE: Final = {"type": "array", "items": {"$ref": REF.format(name="Error")}, "maxItems": 0}

_FAILURE: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["success", "errors", "messages", "result"],
    "properties": {
        "success": {"const": False},
        "errors": {"type": "array", "minItems": 1, "items": {"$ref": REF.format(name="Error")}},
        "messages": _NONE,
        "result": {"type": ["object", "null"], "maxProperties": 0},
    },
}

_SECURITY: Final = {
    "api_token": {"type": "http", "scheme": "bearer"},
    "api_email": {"type": "apiKey", "in": "header", "name": "X-Auth-Email"},
    "api_key": {"type": "apiKey", "in": "header", "name": "X-Auth-Key"},
}


def document(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """The document, ready for JSON; `version` is that of the program."""
    results, bodies = [route.result for route in routes], [route.body or NULL for route in routes]
    schemas, components = described([*results, *bodies, ResultInfo])
    paths: dict[str, dict[str, Any]] = {}
    for number, route in enumerate(routes):
        operation = _operation(route, schemas[number])
        if route.body is not None:
            content = {"application/json": {"schema": schemas[len(results) + number]}}
            operation["requestBody"] = {"required": True, "content": content}
        paths.setdefault(route.path, {})[route.method.lower()] = operation
    shared = _share([operation for methods in paths.values() for operation in methods.values()])
    whole = {
        "openapi": "3.1.0",
        "info": {
            "title": "Halfopen",
            "version": version,
            "license": {"name": "Apache 2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": PREFIX}],
        "security": [{"api_token": []}, {"api_email": [], "api_key": []}],
        "paths": paths,
        "components": {
            "schemas": components | {"Error": _FAULT, "Failure": _FAILURE},
            "parameters": shared,
            "securitySchemes": _SECURITY,
            "responses": {str(status): _error_response(words) for status, words in _ERROR_WORDS.items()},
        },
    }
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(whole))
    return plain


def _operation(route: Route, schema: Mapping[str, Any]) -> dict[str, Any]:
    words = route.description or route.summary
    if route.opened_by:
        any_of = [each for each in PERMISSIONS if opens(frozenset({each}), route.opened_by)]
        words += f"\n\nPermissions, any of: {', '.join(sorted(any_of))}."
    content: dict[str, Any] = {kind: {"schema": {"type": "string"}} for kind in route.content_types}
    if "application/json" in content:
        content["application/json"] = {"schema": _envelope(schema, route.paged)}
    operation: dict[str, Any] = {
        "operationId": _identifier(route),
        "summary": route.summary,
        "description": words,
        "parameters": [
            *(_parameter(each, "path") for each in route.path_parameters),
            *(_parameter(each, "query") for each in route.parameters),
        ],
        "responses": {
            "200": {"description": "What was asked for.", "content": content},
            **{str(status): {"$ref": f"#/components/responses/{status}"} for status in _ERROR_WORDS},
        },
    }
    if route.tags:
        operation["tags"] = list(route.tags)
    return operation


def _parameter(parameter: Parameter, place: str) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": place,
        "required": place == "path" or parameter.required,
        "description": f"{parameter.description} Accepted: {parameter.accepted}.",
        "schema": parameter.schema(),
    }


def _share(operations: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Take parameters that several operations have out of them, leaving references; give them by name."""
    uses = Counter(msgspec.json.encode(each) for one in operations for each in one["parameters"])
    shared: dict[str, Any] = {}
    names: dict[bytes, str] = {}
    for text in (text for text, count in uses.items() if count > 1):
        parameter = msgspec.json.decode(text)
        alike = sum(each["name"] == parameter["name"] for each in shared.values())
        names[text] = f"{parameter['name']}-{alike + 1}" if alike else parameter["name"]
        shared[names[text]] = parameter
    for one in operations:
        one["parameters"] = [
            {"$ref": f"#/components/parameters/{name}"}
            if (name := names.get(msgspec.json.encode(each)))
            else each
            for each in one["parameters"]
        ]
    return shared


def _envelope(result: Mapping[str, Any], paged: bool) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "success": {"const": True},
        "errors": _NONE,
        "messages": _NONE,
        "result": result,
    }
    if paged:
        properties["result_info"] = {"$ref": REF.format(name=ResultInfo.__name__)}
    return {"type": "object", "required": list(properties), "properties": properties}


def _error_response(words: str) -> dict[str, Any]:
    failure = {"schema": {"$ref": REF.format(name="Failure")}}
    return {"description": words, "content": {"application/json": failure}}


def _identifier(route: Route) -> str:
    words = [word.strip("{}") for word in route.path.strip("/").split("/")]
    return "-".join([*words, route.method.lower()])
