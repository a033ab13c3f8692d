"""An application for tests: the first routes, and one that does whatever a test needs. Granian runs it."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from starlette.applications import Starlette

from halfopen.accounts import Accounts
from halfopen.accounts.permissions import ADMIN, ANYBODY, RADAR, SENSOR
from halfopen.api.application import application
from halfopen.api.errors import RADAR as RADAR_SERVICE
from halfopen.api.errors import Answer
from halfopen.api.identity import ACCOUNT_ID, identity_routes
from halfopen.api.limits import Limits, Rate
from halfopen.api.parameters import Parameter
from halfopen.api.routes import Call, Route, answered
from halfopen.config import accounts_url
from halfopen.errors import ConflictError, CostError, MissingError, Rejected

LOCATION: Final = Parameter(
    "location", "Countries.", "an ISO 3166-1 alpha-2 code", repeated=True, pattern="^-?[A-Za-z]{2}$"
)
FORMAT: Final = Parameter("format", "Form.", "JSON or CSV", values=("JSON", "CSV"), any_case=True)
SUMMARY: Final = "/radar/tcp_resets_timeouts/summary"


def summary(call: Call) -> Answer:
    if (call.one("format") or "").upper() == "CSV":
        return Answer(b"a,b\r\n1,2\r\n", content_type="text/csv; charset=utf-8")
    return answered({"location": call.every("location")})


def check(call: Call) -> Sequence[Rejected]:
    if call.one("dateStart") and not call.one("dateEnd"):
        return [Rejected("dateStart", call.every("dateStart")[0], words="given without dateEnd")]
    return ()


def trouble(call: Call) -> Answer:
    match call.path["kind"]:
        case "missing":
            raise MissingError(1003, "Tunnel not found")
        case "conflict":
            raise ConflictError(1013, "You already have a tunnel with this name")
        case "cost":
            raise CostError("too much: ask for a shorter window")
        case _:
            raise RuntimeError("secret of the server")


KIND: Final = Parameter("kind", "Kind.", "a kind", pattern="^[a-z]+$")

ROUTES: Final = (
    Route(
        "GET", SUMMARY, summary, "Shares", {"type": "object"}, RADAR, service=RADAR_SERVICE,
        parameters=(LOCATION, FORMAT), check=check, content_types=("application/json", "text/csv"),
    ),
    Route("GET", "/trouble/{kind}", trouble, "Trouble", {}, frozenset({ADMIN}), path_parameters=(KIND,)),
    Route(
        "GET", "/radar/trouble/{kind}", trouble, "Trouble", {}, RADAR, service=RADAR_SERVICE, path_parameters=(KIND,)
    ),
    Route(
        "POST", "/echo", lambda call: answered(call.body.decode()), "Echo", {"type": "string"}, SENSOR,
        longest_body=1000,
    ),
    Route("DELETE", "/echo", lambda call: answered(None), "Nothing", {"type": "null"}, ANYBODY),
    Route(
        "GET", "/accounts/{account_id}/things", lambda call: answered([]), "Things", {"type": "array"}, ANYBODY,
        path_parameters=(ACCOUNT_ID,),
    ),
)  # fmt: skip


def app() -> Starlette:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    accounts = Accounts.open(Path(os.environ["HALFOPEN_TEST_DATA"]), accounts_url())
    requests, window = map(int, os.environ["HALFOPEN_TEST_RATE"].split("/"))
    limits = Limits(
        Rate(requests, window),
        address=Rate(2000, 1),
        target=4000,
        headers=8000,
        body_grace=1,
        body_pace=100,
        patience=2,
    )
    waiting = Path(os.environ["HALFOPEN_TEST_DATA"]) / "waiting"
    return application(
        (*identity_routes(accounts), *ROUTES),
        accounts,
        limits,
        lambda: ("store",) if waiting.exists() else (),
    )
