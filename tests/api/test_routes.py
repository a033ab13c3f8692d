"""The table of routes, and the document made from it."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openapi_spec_validator import validate

import halfopen.errors as errors
from halfopen.accounts import Accounts
from halfopen.api.errors import CORE, RADAR, answer_to
from halfopen.api.identity import identity_routes
from halfopen.api.openapi import document
from halfopen.api.parameters import PAGE, Parameter, read_query, rejected
from halfopen.api.routes import Table
from halfopen.errors import SizeError
from tests.api.served import FORMAT, LOCATION, ROUTES

EVERY = (*identity_routes(cast(Accounts, None)), *ROUTES)

TABLE = Table(EVERY)


def test_a_path_leads_to_its_route() -> None:
    match = TABLE.match("GET", "/accounts/a1/things")
    assert match.route is not None
    assert (match.route.path, match.path) == ("/accounts/{account_id}/things", {"account_id": "a1"})
    assert TABLE.match("HEAD", "/user").route is not None
    assert TABLE.match("DELETE", "/user").methods == ("GET", "HEAD")
    assert TABLE.match("GET", "/accounts/a%2Fb").methods == ()
    assert TABLE.match("GET", "/accounts/a\n").methods == ()


def test_two_routes_of_one_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="same method and path"):
        Table((*EVERY, ROUTES[0]))


@given(st.text(max_size=60))
def test_no_path_leads_astray(path: str) -> None:
    match = TABLE.match("GET", path)
    assert match.route is None or match.route.shape.fullmatch(path)


def parameter(made: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """A parameter of an operation, which may be one that several have."""
    shared: dict[str, dict[str, Any]] = made["components"]["parameters"]
    return shared[given["$ref"].rpartition("/")[2]] if "$ref" in given else given


def test_what_several_operations_have_stands_there_once() -> None:
    made = document(EVERY, "1.0")
    assert "account_id" in made["components"]["parameters"]
    things = made["paths"]["/accounts/{account_id}/things"]["get"]["parameters"]
    assert things == [{"$ref": "#/components/parameters/account_id"}]


def test_the_document_is_valid_and_has_every_route() -> None:
    made = document(EVERY, "1.0")
    validate(made)
    for route in EVERY:
        operation = made["paths"][route.path][route.method.lower()]
        named = {parameter(made, each)["name"] for each in operation["parameters"]}
        assert named == {each.name for each in (*route.parameters, *route.path_parameters)}
        assert {"200", "400", "429"} <= set(operation["responses"])
    summary = made["paths"]["/radar/tcp_resets_timeouts/summary"]["get"]
    location = next(each for each in summary["parameters"] if each.get("name") == "location")
    assert location["schema"] == {
        "type": "array", "items": {"type": "string", "pattern": "^-?[A-Za-z]{2}$"},
    }  # fmt: skip
    assert set(summary["responses"]["200"]["content"]) == {"application/json", "text/csv"}
    assert made["components"]["schemas"]["AccountResult"]["required"][:2] == ["id", "name"]


def test_an_empty_element_says_nothing_and_a_second_scalar_is_refused() -> None:
    query = read_query(b"location=&location=US&format=", 10)
    assert query == {"location": ("", "US"), "format": ("",)}
    assert rejected((LOCATION, FORMAT), query) == []
    (only,) = rejected((FORMAT,), read_query(b"format=csv&format=xml", 10))
    assert str(only) == "format: given 2 times, accepted is one"


@pytest.mark.parametrize("value", ["0", "-1", "1.0", "1e3", "x", "٣", "9" * 30, " 1"])
def test_what_is_no_page(value: str) -> None:
    (fault,) = rejected((PAGE,), {"page": (value,)})
    assert "is not a whole number from 1 to 1,000,000" in str(fault)
    assert len(str(rejected((PAGE,), {"page": ("x" * 5000,)})[0])) < 200


def test_what_is_no_boolean() -> None:
    is_deleted = Parameter("is_deleted", "Deleted ones.", "true or false", kind="boolean")
    assert rejected((is_deleted,), {"is_deleted": ("true",)}) == []
    assert rejected((is_deleted,), {"is_deleted": ("1",)})


@given(st.binary(max_size=300))
def test_any_query_can_be_read(raw: bytes) -> None:
    try:
        query = read_query(raw, 20)
    except SizeError:
        assert raw.count(b"&") >= 20
    else:
        assert sum(map(len, query.values())) <= 20


MADE: dict[type[errors.RequestError], errors.RequestError] = {
    type(each): each
    for each in (
        errors.InvalidError([errors.Rejected("a", "b", "c")]),
        errors.HeadersError((6111, "Authorization")),
        errors.CredentialsError(given=False),
        errors.TokenError(),
        errors.ForbiddenError(),
        errors.RouteError("/x"),
        errors.MissingError(1003, "Tunnel not found"),
        errors.MethodError(["GET"]),
        errors.RefusedError(1022, "connected"),
        errors.SlowError(20, 1000),
        errors.ConflictError(1013, "taken"),
        errors.SizeError(413, "body", 1),
        errors.CostError("too much"),
        errors.RateError(1),
        errors.FailureError("id"),
        errors.NotOfferedError("not here"),
        errors.UnavailableError("the store"),
    )
}


def test_the_tree_is_drawn_as_it_is() -> None:
    assert set(MADE) == set(errors.RequestError.__subclasses__())
    drawn: dict[str, tuple[str, str]] = {}
    for line in (errors.__doc__ or "").splitlines():
        if line.startswith("        ") and "Error" in line:
            name, status, *_ = line.strip(" ├└─│").split()
            drawn[name] = (status.split("/")[0].rstrip(","), status.partition("/")[2])
    assert set(drawn) == {kind.__name__ for kind in MADE}
    for kind, error in MADE.items():
        status, code = drawn[kind.__name__]
        assert str(error.status) == status
        assert not code or int(code) == error.faults[0].code


@pytest.mark.parametrize("error", MADE.values(), ids=lambda error: type(error).__name__)
def test_every_error_becomes_an_answer(error: errors.RequestError) -> None:
    answer: Any = answer_to(error, RADAR)
    assert answer.status == error.status
    assert answer.content_type == "application/json"
    assert answer.body.endswith(b'"result":{}}' if error.status == 400 else b'"result":null}')
    assert answer_to(error, CORE).body.endswith(b'"result":null}')
