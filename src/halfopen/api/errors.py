"""From what went wrong to what the client gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from halfopen.api.envelope import CONTENT_TYPE, failure
from halfopen.errors import MethodError, RateError, RequestError, UnavailableError


@dataclass(frozen=True)
class Service:
    """What differs between the services of the API: its name, and how it words its errors.

    `rejected` is the code of a parameter that cannot be used, `throttled` that of a 429; `result_of_400` is
    what stands under ``result`` in a 400 (A19).
    """

    name: str
    rejected: int = 1001
    throttled: int = 971
    result_of_400: Any = None


CORE: Final = Service("Accounts")
RADAR: Final = Service("Radar", rejected=2001, throttled=1015, result_of_400={})


@dataclass(frozen=True)
class Answer:
    """What a handler returns: the whole body, and how it is to be sent."""

    body: bytes
    status: int = 200
    content_type: str = CONTENT_TYPE
    headers: Mapping[str, str] = field(default_factory=dict)


def answer_to(error: RequestError, service: Service) -> Answer:
    """The answer that tells of an error; JSON, whatever form was asked for."""
    headers: dict[str, str] = {}
    if isinstance(error, MethodError):
        headers["allow"] = ", ".join(error.allowed)
    if isinstance(error, RateError | UnavailableError) and error.retry_after is not None:
        headers["retry-after"] = str(error.retry_after)
    result = service.result_of_400 if error.status == 400 else None
    return Answer(failure(error.faults, result), error.status, headers=headers)
