"""What a run of the benchmarks found: lines of Markdown, data, and the closing table of targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from measure import MIB


@dataclass(slots=True)
class Report:
    """What was found, as lines of Markdown and as data."""

    lines: list[str] = field(default_factory=list)
    data: dict[str, object] = field(default_factory=dict)
    targets: list[tuple[str, str, str, bool]] = field(default_factory=list)

    def say(self, *lines: str) -> None:
        """Add lines to the page and show them at once."""
        self.lines += lines
        print(*lines, sep="\n", flush=True)

    def table(self, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
        """Add a table."""
        self.say("", f"| {' | '.join(head)} |", f"|{'|'.join(['---'] + ['--:'] * (len(head) - 1))}|")
        self.say(*(f"| {' | '.join(row)} |" for row in rows), "")

    def target(self, what: str, wanted: str, found: str, met: bool) -> None:
        """Add one line to the closing table of targets."""
        self.targets.append((what, wanted, found, met))


def mib(size: float) -> str:
    """Bytes as whole MiB."""
    return f"{size / MIB:,.0f}"
