"""What a server and an edge say of themselves on standard error: a line each, with its time."""

from __future__ import annotations

import logging
import sys
from datetime import UTC, datetime


class _Line(logging.Formatter):
    """Such as ``2026-11-26T00:38:00Z halfopen edge: words``."""

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC)
        return f"{when:%Y-%m-%dT%H:%M:%SZ} {record.name.replace('.', ' ')}: {super().format(record)}"


def begin_log() -> None:
    """Write what loggers below ``halfopen`` are told; others stay as they are."""
    _to_standard_error("halfopen", _Line())


def begin_plain_log(name: str) -> None:
    """Write what this logger is told as it is: its lines are whole by themselves."""
    _to_standard_error(name, logging.Formatter())


def _to_standard_error(name: str, formatter: logging.Formatter) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logger = logging.getLogger(name)
    logger.setLevel(logging.INFO)
    logger.handlers = [handler]  # in the place of that of an application made before in this process
    logger.propagate = False
