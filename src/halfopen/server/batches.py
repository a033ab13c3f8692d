"""``POST /sensors/{name}/batches``: connections of remote sensors into the dataset, each batch exactly once."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import TimeoutError as Late
from functools import partial
from typing import Any, Final

from halfopen.accounts.permissions import SENSOR
from halfopen.api.envelope import failure
from halfopen.api.errors import Answer, Service
from halfopen.api.parameters import Parameter
from halfopen.api.routes import Call, Route, answered
from halfopen.errors import Fault, ForbiddenError, LeaseError, Rejected, StoreError, UnavailableError
from halfopen.model import SENSOR_NAME
from halfopen.sensor.receiver import EXPECTED
from halfopen.server.door import Door
from halfopen.server.stream import AHEAD, MOST_BYTES, rows_of
from halfopen.store.committer import Batch
from halfopen.store.counters import COUNTERS

_CONFLICT: Final = 1009
_PATIENCE: Final = 60.0
"""Seconds for which a request waits for its commit; the sensor may ask again, nothing is taken twice."""

_RETRY: Final = 10
"""Seconds after which to ask again."""

_MOST: Final = 2**40
_NAME: Final = Parameter(
    "name", "Name of the sensor, the token's own.", "a sensor's name", pattern=f"^{SENSOR_NAME}$"
)
_COUNTER: Final = "[a-z_]{1,32}:[0-9]{1,15}"
_ASKED: Final = (
    Parameter("incarnation", "UUID made with the sensor's spool.", "a UUID in lower case", pattern="^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", required=True),
    Parameter("sequence", "Number of the batch in its incarnation, from 1 without holes.", f"a number from 1 to {_MOST}", "integer", least=1, most=_MOST, required=True),
    Parameter("watermark", "All SYNs before this time (s since the epoch) are delivered with this batch.", "a time in s", "integer", least=0, most=_MOST, required=True),
    Parameter("since", "Where the sensor did not watch after its last watermark: since when it does (s).", "a time in s", "integer", least=0, most=_MOST),
    Parameter("until", "With `since`: up to when it had watched, if not up to its last watermark (s).", "a time in s", "integer", least=0, most=_MOST),
    Parameter("rate", "Sampling rate; default 1.", "a number above 0 and at most 1", pattern=r"^(0?\.[0-9]{1,20}|[1-9](\.[0-9]{1,17})?e-[0-9]{1,2}|1(\.0+)?)$"),
    Parameter("drops", "Packets lost so far; default 0.", "a number", "integer", least=0, most=2**49),
    Parameter(
        "counters", "What else the sensor counted so far, such as `received:1024,packets:1000`; names that are not known are left aside.",
        "names with their numbers, such as received:1024,packets:1000, each once", pattern=f"^{_COUNTER}(,{_COUNTER}){{0,63}}$",
    ),
)  # fmt: skip
_RESULT: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["held", "taken", "expected"],
    "properties": {
        "held": {"type": "boolean"},
        "taken": {"type": "boolean"},
        "expected": {"type": "integer"},
    },
}


def batch_routes(door: Door, clock: Callable[[], float] = time.time) -> Iterator[Route]:
    """The one route of sensors."""
    yield Route(
        "POST",
        "/sensors/{name}/batches",
        partial(_take, door, clock),
        "Deliver connections of a sensor",
        _RESULT,
        SENSOR,
        service=Service("Sensors"),
        parameters=_ASKED,
        path_parameters=(_NAME,),
        check=partial(_rejected, clock),
        tags=("Sensors",),
        description="The body is one Arrow IPC stream of the rows, without compression. `held`: it is on the disk, the sensor "
        "may forget it; `taken`: by this request; `expected`: the next sequence. A sequence beyond it is a 409, which "
        f"names the one expected, also in the header {EXPECTED}.",
        longest_body=MOST_BYTES,
    )


def _rejected(clock: Callable[[], float], call: Call) -> Sequence[Rejected]:
    if call.principal.sensor != call.path["name"]:
        raise ForbiddenError
    found = []
    latest = int(clock()) + AHEAD
    ahead = f"a time at most {AHEAD} s ahead of the server's clock"
    given = call.one("until") is not None
    for name, most, words in (
        ("watermark", latest, ahead),
        (
            "since",
            *((latest, ahead) if given else (_number(call, "watermark"), "a time up to the watermark")),
        ),
        ("until", _number(call, "since"), "a time up to since, beside it"),
    ):
        if _number(call, name) > most:
            found.append(Rejected(name, call.one(name) or "", words))
    if not _rate(call):
        found.append(Rejected("rate", call.one("rate") or "", "a number above 0 and at most 1"))
    names = [name for name, _ in _counters(call)]
    if len(names) != len(set(names)):
        found.append(
            Rejected("counters", call.one("counters") or "", words="a name twice, accepted is each once")
        )
    return found


def _counters(call: Call) -> list[tuple[str, int]]:
    pairs = (each.partition(":") for each in (call.one("counters") or "").split(","))
    return [(name, int(count)) for name, _, count in pairs if name in COUNTERS and count.isdecimal()]


def _number(call: Call, name: str) -> int:
    text = call.one(name) or "0"
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else 0


def _rate(call: Call) -> float:
    try:
        return float(call.one("rate") or 1)
    except ValueError:
        return 1.0  # named by its pattern already


def _take(door: Door, clock: Callable[[], float], call: Call) -> Answer:
    batch = Batch(
        sensor=call.path["name"],
        incarnation=call.one("incarnation") or "",
        sequence=_number(call, "sequence"),
        watermark=_number(call, "watermark"),
        rows=rows_of(call.body, int(clock()), _rate(call)),
        since=None if call.one("since") is None else _number(call, "since"),
        until=None if call.one("until") is None else _number(call, "until"),
        rate=_rate(call),
        drops=_number(call, "drops"),
        counters=dict(_counters(call)),
    )
    try:
        receipt = door.intake().put(batch).result(_PATIENCE)
    except Late:
        raise UnavailableError("the dataset (commits take long)", _RETRY) from None
    except LeaseError as error:
        raise UnavailableError("the dataset (another process commits to it)", _RETRY) from error
    except StoreError as error:
        raise UnavailableError("the dataset (a commit failed)", _RETRY) from error
    door.look_at(batch.sensor)
    if not receipt.held:
        words = f"sequence: {batch.sequence} came, expected is {receipt.expected}"
        headers = {EXPECTED: str(receipt.expected)}
        return Answer(failure([Fault(_CONFLICT, words)]), 409, headers=headers)
    return answered({"held": receipt.held, "taken": receipt.taken, "expected": receipt.expected})
