"""What a recording is made of: what the edge did, what came of the connector, and what was seen beside, in order; and its file."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parents[1] / "recorded"


@dataclass(frozen=True)
class Opened:
    """A connection of the connector is there, with what it says of itself in the handshake."""

    connection: int
    facts: dict[str, Any]


@dataclass(frozen=True)
class Did:
    """The edge did something, on a connection or, where it is None, with the connector's process."""

    connection: int | None
    what: str


@dataclass(frozen=True)
class Came:
    """Bytes of the connector: of a stream over QUIC, of the whole connection over HTTP/2 (`stream` is None)."""

    connection: int
    data: bytes
    stream: int | None = None
    end: bool = False


@dataclass(frozen=True)
class Reset:
    """The connector broke off its part of a stream of QUIC."""

    connection: int
    stream: int
    code: int


@dataclass(frozen=True)
class Stopped:
    """It takes no more of a stream of QUIC."""

    connection: int
    stream: int
    code: int


@dataclass(frozen=True)
class Closed:
    """It closed the connection, or is gone."""

    connection: int


@dataclass(frozen=True)
class Saw:
    """The origin saw a request: its first line, headers, and as much of the body as it read."""

    line: str
    headers: list[list[str]] = field(default_factory=list)
    body: str = ""

    def header(self, name: str) -> str | None:
        """The value of a header, of the last of that name."""
        return {each.lower(): value for each, value in self.headers}.get(name.lower())


@dataclass(frozen=True)
class Noted:
    """What was seen of the connector's process."""

    name: str
    value: Any


Turn = Opened | Did | Came | Reset | Stopped | Closed | Saw | Noted
_KINDS: Final[dict[str, type[Turn]]] = {
    each.__name__.lower(): each for each in (Opened, Did, Came, Reset, Stopped, Closed, Saw, Noted)
}


def path(scenario: str, transport: str) -> Path:
    """The file of a recording."""
    return FOLDER / f"{scenario}.{transport}.jsonl"


def write(to: Path, version: str, turns: Iterable[Turn]) -> None:
    """Keep a recording: a line for whom it is of, and one for each turn."""
    lines = [{"connector": f"cloudflared {version}"}, *map(_row, turns)]
    to.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))


def read(kept: Path) -> list[Turn]:
    """The turns of a recording."""
    return [_turn(json.loads(line)) for line in kept.read_text().splitlines()[1:]]


def _row(turn: Turn) -> dict[str, Any]:
    fields = dict(vars(turn))
    if isinstance(turn, Came):
        fields["data"] = b64encode(turn.data).decode()
    return {"turn": type(turn).__name__.lower()} | {
        name: value for name, value in fields.items() if value is not None and (name, value) != ("end", False)
    }


def _turn(row: dict[str, Any]) -> Turn:
    kind = _KINDS[row.pop("turn")]
    if kind is Came:
        row["data"] = b64decode(row["data"])
    if kind is Did:
        row.setdefault("connection", None)
    if kind is Noted:
        row.setdefault("value", None)
    return kind(**row)
