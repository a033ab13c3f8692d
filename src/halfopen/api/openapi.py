"""The OpenAPI 3.1 document of a table of routes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from halfopen.accounts.permissions import PERMISSIONS, opens
from halfopen.api.application import PREFIX
from halfopen.api.envelope import ResultInfo
from halfopen.api.parameters import Parameter
from halfopen.api.routes import Route

_REF: Final = "#/components/schemas/{name}"

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
        "error_chain": {"type": "array", "items": {"$ref": _REF.format(name="Error")}},
    },
}

_FAILURE: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["success", "errors", "messages", "result"],
    "properties": {
        "success": {"const": False},
        "errors": {"type": "array", "minItems": 1, "items": {"$ref": _REF.format(name="Error")}},
        "messages": {"type": "array", "maxItems": 0},
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
    types = [
        each
        for route in routes
        for each in (route.result, route.body)
        if each is not None and not isinstance(each, Mapping)
    ]
    described, components = msgspec.json.schema_components([*types, ResultInfo], ref_template=_REF)
    results = dict(zip([id(each) for each in types], described, strict=False))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        schema = route.result if isinstance(route.result, Mapping) else results[id(route.result)]
        operation = _operation(route, schema)
        if route.body is not None:
            content = {"application/json": {"schema": results[id(route.body)]}}
            operation["requestBody"] = {"required": True, "content": content}
        paths.setdefault(route.path, {})[route.method.lower()] = operation
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


def _envelope(result: Mapping[str, Any], paged: bool) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "success": {"const": True},
        "errors": {"type": "array", "maxItems": 0},
        "messages": {"type": "array", "maxItems": 0},
        "result": result,
    }
    if paged:
        properties["result_info"] = {"$ref": _REF.format(name=ResultInfo.__name__)}
    return {"type": "object", "required": list(properties), "properties": properties}


def _error_response(words: str) -> dict[str, Any]:
    failure = {"schema": {"$ref": _REF.format(name="Failure")}}
    return {"description": words, "content": {"application/json": failure}}


def _identifier(route: Route) -> str:
    words = [word.strip("{}") for word in route.path.strip("/").split("/")]
    return "-".join([*words, route.method.lower()])
