"""A tunnel's configuration while somebody writes it: as a table of rules, or as JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from halfopen.tunnels import ingress

MOST_ROWS: Final = 40
"""Rules that are shown as a table to be changed: a form has room for no more."""

_SHOWN: Final = ("hostname", "path", "service")
_ACT: Final = re.compile(r"(remove|up|down)-([0-9]{1,3})")
_BEGUN: Final = {"ingress": [{"hostname": "", "service": ""}, {"service": "http_status:404"}]}
"""What is written where there is no configuration yet."""

_ADDED: Final = ("warp-routing", {"enabled": False})
"""What every configuration that is kept says, asked for or not."""


@dataclass(frozen=True)
class Row:
    """One rule; `more` is what else it says, as JSON, empty where that is nothing."""

    hostname: str = ""
    path: str = ""
    service: str = ""
    more: str = ""


@dataclass(frozen=True)
class Table:
    """The rules of a configuration; `more` is what it says beside them, as JSON."""

    rows: tuple[Row, ...]
    more: str = ""

    @classmethod
    def of(cls, config: Mapping[str, Any] | None) -> Table:
        """The table of a configuration that has rules, or of the first one that is written."""
        whole = _BEGUN if config is None else config
        rest = {name: value for name, value in whole.items() if name != "ingress" and (name, value) != _ADDED}
        return cls(tuple(map(_row, whole["ingress"])), _text(rest))

    @classmethod
    def typed(cls, fields: Mapping[str, str]) -> Table:
        """The table that a form was sent with."""
        rows = []
        for number in range(1, MOST_ROWS + 1):
            if f"service-{number}" in fields:
                texts = (fields.get(f"{name}-{number}", "").strip() for name in (*_SHOWN, "more"))
                rows.append(Row(*texts))
        return cls(tuple(rows), fields.get("more", ""))

    def changed(self, act: str) -> Table:
        """The table with a row more, before the last, or without one, or with one moved: ``add``, ``remove-2``, ``up-2``, ``down-2``."""
        rows = list(self.rows)
        if act == "add" and len(rows) < MOST_ROWS:
            rows.insert(max(len(rows) - 1, 0), Row())
        elif (found := _ACT.fullmatch(act)) and 1 <= (number := int(found[2])) <= len(rows):
            row = rows.pop(number - 1)
            if found[1] != "remove":
                rows.insert(max(number - 2, 0) if found[1] == "up" else number, row)
        return Table(tuple(rows), self.more)

    def filled(self) -> Table:
        """The table without rows in which nothing is typed, but for the last: that is the rule for everything else."""
        return Table((*(row for row in self.rows[:-1] if row != Row()), *self.rows[-1:]), self.more)

    def config(self) -> dict[str, Any]:
        """The configuration that it stands for, a rule for each row."""
        return {**_object(self.more), "ingress": [_rule(row) for row in self.rows]}


def parsed(text: str) -> tuple[Any, list[str]]:
    """What JSON says, and what is wrong with it: with line and column."""
    try:
        value = json.loads(text, parse_constant=_no_number)
        json.dumps(
            value, ensure_ascii=False, allow_nan=False
        ).encode()  # half a pair of surrogates is no text, 1e999 no number
        return value, []
    except json.JSONDecodeError as error:
        return None, [f"Line {error.lineno}, column {error.colno}: {error.msg}."]
    except UnicodeEncodeError:
        return None, ["A text in it has half of a pair of surrogates (\\ud800 to \\udfff)."]
    except ValueError as error:
        return None, [f"{error}."]
    except RecursionError:
        return None, ["It is nested too deep."]


def faults(config: Any) -> list[str]:
    """Everything for which cloudflared would not take a configuration."""
    return [
        words if number is None else f"Rule {number}: {_bare(words)}"
        for number, words in ingress.faults(config)
    ]


def _bare(words: str) -> str:
    """Words without the number of the rule, which is said already."""
    return re.sub(r"^Rule #[0-9]+:? ", "", words)


def has_rules(config: Any) -> bool:
    """Whether a configuration, of which maybe nobody has looked at more than that it is JSON, has rules that can be shown."""
    rules = config.get("ingress") if isinstance(config, dict) else None
    return isinstance(rules, list) and all(
        isinstance(rule, dict) and all(isinstance(rule.get(name) or "", str) for name in _SHOWN)
        for rule in rules
    )


def is_table(config: Any) -> bool:
    """Whether it can be written as a table."""
    return has_rules(config) and len(config["ingress"]) <= MOST_ROWS


def _row(rule: Mapping[str, Any]) -> Row:
    more = {name: value for name, value in rule.items() if name not in _SHOWN}
    hostname, path, service = (rule.get(name) or "" for name in _SHOWN)
    return Row(hostname, path, service, _text(more))


def _rule(row: Row) -> dict[str, Any]:
    told = {
        name: value
        for name, value in zip(_SHOWN, (row.hostname, row.path, row.service), strict=True)
        if value
    }
    return {"service": "", **told, **_object(row.more)}


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":")) if value else ""


def _object(text: str) -> dict[str, Any]:
    value, _ = parsed(text or "{}")
    return value if isinstance(value, dict) else {}


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number of JSON")
