"""What can go wrong, as the caller must see it.

::

    HalfopenError
    ├── UsageError      a parameter: its name, its value, what is accepted
    ├── SettingsError   several of them, out of environment and settings file
    ├── CaptureError    a capture: file, offset, what was expected there
    │   └── UnreadableError   not one byte of it can be read: why
    ├── PlacesError     a places file: its name and what is wrong with it
    ├── StoreError      a store: where it lies and why it cannot be used so
    │   ├── LeaseError        the right to commit to it is somebody else's: whose
    │   └── OptionsError      a capture that is in it already, ingested with other options: which
    ├── SpoolError      where a sensor's batches wait: why it cannot be used
    ├── WireError       what the other end of a tunnel sent: what of it is not the protocol
    ├── PrivilegeError  a privilege of the operating system: which one is missing, or cannot be given up
    ├── DatabaseError   the database of users, tokens and tunnels: which one and what is wrong with it
    │   └── KeyFileError      the file with the key of tunnels' secrets: why it cannot be used with it
    └── RequestError    a request to the API: HTTP status, code and message of each fault
        ├── InvalidError         400        parameters: name, value, what is accepted
        ├── HeadersError         400/6003   headers of authentication without the right shape
        ├── CredentialsError     400/9106   no credentials, or an e-mail and a key that do not fit
        ├── TokenError           403/9109   an unknown token; 401/1000 where a token is to be verified
        ├── ForbiddenError       403/10000  a principal without the permission
        ├── RouteError           404/7003   no such route, or an identifier that cannot be one
        ├── MissingError         404        a thing that does not exist
        ├── MethodError          405/10405  a route without that method
        ├── RefusedError         400        what cannot be done as things stand
        ├── SlowError            408        a body that does not come in time
        ├── ConflictError        409        what is asked for contradicts what is there
        ├── SizeError            413, 414, 431   more than is read
        ├── CostError            422/2002   a query over what one may cost
        ├── RateError            429/971    too many requests; 1015 in Radar
        ├── FailureError         500/2000   a fault of ours
        ├── NotOfferedError      501        a part of the API that is not offered here
        └── UnavailableError     503/2000   something that an answer needs is away
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


class HalfopenError(Exception):
    """Base of all errors that a caller is told about in one line."""


class UsageError(HalfopenError):
    """A parameter that cannot be used."""

    def __init__(self, name: str, value: object, accepted: str) -> None:
        super().__init__(f"{name}: {value!s} cannot be used; accepted: {accepted}")
        self.name = name
        self.value = value
        self.accepted = accepted


class SettingsError(HalfopenError):
    """Several settings that cannot be used."""

    def __init__(self, faults: Sequence[UsageError]) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = faults


class CaptureError(HalfopenError):
    """A capture that is damaged, truncated, empty or foreign from `offset` (bytes) on."""

    def __init__(self, file: str, offset: int, expected: str) -> None:
        super().__init__(f"{file}: at byte {offset}: {expected}")
        self.file = file
        self.offset = offset
        self.expected = expected


class UnreadableError(CaptureError):
    """A file, or what was to mean some, of which not one byte can be read."""

    def __init__(self, file: str, why: str) -> None:
        super().__init__(file, 0, why)

    def __str__(self) -> str:
        return f"{self.file}: {self.expected}"


class PlacesError(HalfopenError):
    """A places file that cannot be read."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(f"{file}: {reason}")
        self.file = file
        self.reason = reason


_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")


class StoreError(HalfopenError):
    """A store that is none, cannot be written, is damaged, or is asked for what it cannot do."""

    def __init__(self, place: str, reason: str) -> None:
        # Libraries tell theirs in colours and on many lines.
        plain = " ".join(_COLOUR.sub("", reason).split())
        super().__init__(f"{place}: {plain}")
        self.place = place
        self.reason = plain


class LeaseError(StoreError):
    """A store to which another process commits: it was waited for in vain, or took over when this one hung."""


class OptionsError(StoreError):
    """A capture that is in a store already, ingested with other `options` (text)."""

    def __init__(self, capture: str, options: str) -> None:
        super().__init__(capture, "is in the store with other options, and was not to be replaced")
        self.options = options


class SpoolError(HalfopenError):
    """A spool that cannot be made or read, or that another process uses."""

    def __init__(self, directory: str, reason: str) -> None:
        super().__init__(f"{directory}: {reason}")
        self.directory = directory
        self.reason = reason


class WireError(HalfopenError):
    """What the other end of a tunnel sent and is not the protocol between connector and edge, in words."""


class PrivilegeError(HalfopenError):
    """A privilege of the operating system that is missing, or that cannot be given up, in words."""


class DatabaseError(HalfopenError):
    """A database of users, tokens and tunnels that cannot be opened or used."""

    def __init__(self, database: str, reason: str) -> None:
        super().__init__(f"{database}: {reason}")
        self.database = database
        self.reason = reason


class KeyFileError(DatabaseError):
    """A file with the key of tunnels' secrets that is gone, cannot be read, is open to others, or opens nothing that is kept."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a request: the API's code, words, and where given what it follows from."""

    code: int
    message: str
    chain: tuple[Fault, ...] = ()


class RequestError(HalfopenError):
    """A request that is not answered with what it asked for: an HTTP status and every fault."""

    def __init__(self, status: int, *faults: Fault) -> None:
        super().__init__("; ".join(fault.message for fault in faults))
        self.status = status
        self.faults = faults


@dataclass(frozen=True)
class Rejected:
    """One parameter of a request that cannot be used: its name, the value as received, what is accepted.

    `accepted` completes the sentence ``location: "xx1" is not ...``; a message of another form is
    given whole in `words`.
    """

    name: str
    value: str
    accepted: str = ""
    words: str = ""

    def __str__(self) -> str:
        shown = self.value if len(self.value) <= 100 else f"{self.value[:100]}..."
        return (
            f"{self.name}: {self.words}" if self.words else f'{self.name}: "{shown}" is not {self.accepted}'
        )


class InvalidError(RequestError):
    """400: parameters that cannot be used, all of them; `code` is the service's own (2001 in Radar)."""

    def __init__(self, rejected: Sequence[Rejected], code: int = 2001) -> None:
        super().__init__(400, *(Fault(code, str(each)) for each in rejected))
        self.rejected = tuple(rejected)


class HeadersError(RequestError):
    """400/6003: headers without the shape they must have, by name with the code of each."""

    def __init__(self, *named: tuple[int, str]) -> None:
        chain = tuple(Fault(code, f"Invalid format for {name} header") for code, name in named)
        super().__init__(400, Fault(6003, "Invalid request headers", chain))


class CredentialsError(RequestError):
    """400/9106: no credentials at all, or an e-mail and a key that do not fit; `reason` is for the log."""

    def __init__(self, given: bool, reason: str = "missing") -> None:
        missing = "Missing X-Auth-Key, X-Auth-Email or Authorization headers"
        super().__init__(400, Fault(9106, "Authentication failed (status: 400)" if given else missing))
        self.reason = reason


class TokenError(RequestError):
    """A token that is not accepted: 403/9109, and 401/1000 where it was to be verified; `reason` is for the log."""

    def __init__(self, verifying: bool = False, reason: str = "unknown") -> None:
        self.reason = reason
        if verifying:
            super().__init__(401, Fault(1000, "Invalid API Token"))
        else:
            super().__init__(403, Fault(9109, "Invalid access token"))


class ForbiddenError(RequestError):
    """403/10000: the principal has no permission for this, or not in this account."""

    def __init__(self) -> None:
        super().__init__(403, Fault(10000, "Authentication error"))


class RouteError(RequestError):
    """404/7003 and 7000: no route has this path, or an identifier in it cannot be one."""

    def __init__(self, path: str) -> None:
        shown = path if len(path) <= 200 else f"{path[:200]}..."
        where = f"Could not route to {shown}, perhaps your object identifier is invalid?"
        super().__init__(404, Fault(7003, where), Fault(7000, "No route for that URI"))


class MissingError(RequestError):
    """404: a thing that does not exist, with the service's own code and words."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(404, Fault(code, message))


class MethodError(RequestError):
    """405/10405: the route exists, but not with this method; `allowed` are those it has."""

    def __init__(self, allowed: Sequence[str]) -> None:
        super().__init__(405, Fault(10405, "Method not allowed for this authentication scheme"))
        self.allowed = tuple(allowed)


class RefusedError(RequestError):
    """400: what cannot be done as things stand, with the service's own code and words."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(400, Fault(code, message))


class SlowError(RequestError):
    """408: a body that does not come in time: so many seconds, and one more for each `pace` bytes of it."""

    def __init__(self, grace: float, pace: int) -> None:
        words = f"body: not there within {grace:g} s and 1 s for each {pace:,} bytes of it"
        super().__init__(408, Fault(2001, words))


class ConflictError(RequestError):
    """409: what is asked for contradicts what is there, with the service's own code and words."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(409, Fault(code, message))


class SizeError(RequestError):
    """A part of a request that is larger than what is read: 414 for the address, 431 headers, 413 the body."""

    def __init__(self, status: int, part: str, most: int, unit: str = "bytes") -> None:
        code = 6003 if status == 431 else 2001
        super().__init__(status, Fault(code, f"{part}: more than {most:,} {unit}"))


class CostError(RequestError):
    """422/2002: a query over what one may cost; `message` says what makes it cheaper."""

    def __init__(self, message: str) -> None:
        super().__init__(422, Fault(2002, message))


class RateError(RequestError):
    """429: too many requests; the next one is answered after `retry_after` seconds."""

    def __init__(self, retry_after: int, code: int = 971) -> None:
        super().__init__(429, Fault(code, "Please wait and consider throttling your request speed"))
        self.retry_after = retry_after


class FailureError(RequestError):
    """500/2000: a fault of ours; the log has it under the id of the request."""

    def __init__(self, request_id: str) -> None:
        super().__init__(500, Fault(2000, f"Internal error; the log of the server has it as {request_id}"))


class NotOfferedError(RequestError):
    """501/1001: a part of the API that is not offered here; `message` says what is instead."""

    def __init__(self, message: str) -> None:
        super().__init__(501, Fault(1001, message))


class UnavailableError(RequestError):
    """503/2000: something that the answer needs is away for now; where it is known, ask again after `retry_after` s."""

    def __init__(self, what: str, retry_after: int | None = None) -> None:
        self.retry_after = retry_after
        super().__init__(503, Fault(2000, f"{what} is not available"))
