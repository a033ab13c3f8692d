"""The running server keeps what its OpenAPI document says, whatever it is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import httpx
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from halfopen.accounts import Accounts
from tests.dataset.conftest import Installation

EXAMPLES = 8


def test_schemathesis_finds_nothing(installation: Installation) -> None:
    with closing(Accounts.open(installation.data)) as accounts:
        token, _ = accounts.create_token(["admin"])
    schema = schemathesis.openapi.from_url(f"{installation.base}/openapi.json")
    headers = {"authorization": f"Bearer {token}"}
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) > 30
    must_be_accepted: Counter[str] = Counter()
    for operation in operations:

        @given(case=operation.as_strategy())
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def holds(case: schemathesis.Case[Any]) -> None:
            # That check knows 401 and 403 only; the next test does what it does.
            excluded = [ignored_auth]
            if depend(case.query or {}):
                excluded.append(positive_data_acceptance)
            else:
                must_be_accepted[case.operation.label] += 1
            case.call_and_validate(base_url=installation.api, headers=headers, excluded_checks=excluded)

        holds()
    assert len(must_be_accepted) == len(operations)
    assert must_be_accepted.total() > EXAMPLES * len(operations) / 3


def depend(query: Mapping[str, Any]) -> bool:
    """Whether parameters are asked for that must go together, of which no schema can tell whether they do.

    test_sdk.py and tests/radar test these: a dateStart has its dateEnd, both in the past and a year apart at most; windows
    have one duration, and one is given for all series or for each; names differ; an interval suits the range; answers have
    an end.
    """
    several = {name: value for name, value in query.items() if isinstance(value, list)}
    series = max(map(len, several.values()), default=1)
    names = [name for name in several.get("name", ()) if name]
    ranges = query.get("dateRange", [])
    return (
        bool({"dateStart", "dateEnd"} & query.keys())
        or (isinstance(ranges, list) and len(ranges) > 1)
        or len(set(names)) < len(names)
        or ("aggInterval" in query and bool(ranges))
        or ("limitPerGroup" in query and series > 1)
        or query.get("page", 1) * query.get("per_page", 100) > 1_000_000
    )


def test_nothing_is_answered_without_good_credentials(installation: Installation) -> None:
    document = httpx.get(f"{installation.base}/openapi.json").json()
    assert document["security"]
    asked = [(method, path) for path, methods in document["paths"].items() for method in methods]
    refused = {None: (400, 9106), "Basic eDp5": (400, 6003), f"Bearer {'x' * 40}": (403, 9109)}
    with httpx.Client(base_url=installation.api) as client:
        for method, path in asked:
            for header, expected in refused.items():
                if path == "/user/tokens/verify" and expected[0] == 403:
                    expected = (401, 1000)
                answer = client.request(method, path, headers={"authorization": header} if header else {})
                assert (answer.status_code, answer.json()["errors"][0]["code"]) == expected, (method, path)
