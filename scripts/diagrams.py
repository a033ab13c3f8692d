"""The pictures of the page of concepts: who sends what at each stage, where it is cut, and what the sensor sees of it.

Drawn here and not by a package: a few lines and words, which must be the same on every machine and readable in light and dark.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

CLIENT, CUT, SERVER, SEEN = 60, 200, 330, 370
"""Where each stands from the left: both ends, the place between them where packets are lost or made, and the sensor's words."""
WIDTH: Final = 600
STEP: Final = 34

STYLE: Final = """
text { font: 14px system-ui, sans-serif; fill: #1f2328 }
.panel { fill: #ffffff; stroke: #d0d7de }
.line, .arrow { stroke: #57606a; stroke-width: 1.5; fill: none }
.arrow { marker-end: url(#head) }
.cut, .forged { stroke: #b3261e; stroke-width: 2; fill: none }
.forged { stroke-dasharray: 5 4; marker-end: url(#forged-head) }
.box { fill: #eaeef2; stroke: #57606a }
.head { fill: #57606a }
.forged-head { fill: #b3261e }
.title { font-weight: 600 }
.quiet { fill: #57606a }
.verdict { font: 600 13px ui-monospace, monospace }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.panel { fill: #161b22; stroke: #3d444d }
.line, .arrow { stroke: #9da7b3 }
.cut, .forged { stroke: #ff8a80 }
.box { fill: #262c36; stroke: #9da7b3 }
.head { fill: #9da7b3 }
.forged-head { fill: #ff8a80 }
.quiet { fill: #9da7b3 }
}"""


@dataclass(frozen=True)
class Sent:
    """A packet: what it is called, which way it goes, and how it fares."""

    name: str
    inbound: bool = True
    arrives: bool = True
    forged: bool = False
    """Whether it begins between client and server, or may begin there."""


@dataclass(frozen=True)
class Scene:
    """One way in which a connection goes: its packets, and what the sensor makes of them."""

    title: str
    packets: Sequence[Sent]
    end: str
    signature: str


SYN, SYN_ACK, ACK = Sent("SYN"), Sent("SYN+ACK", inbound=False), Sent("ACK")
DATA, ANSWER, MORE = Sent("data, pushed"), Sent("data", inbound=False), Sent("more data, pushed")
HANDSHAKE: Final = (SYN, SYN_ACK, ACK)


def lost(packet: Sent) -> Sent:
    """The same packet, lost on its way."""
    return Sent(packet.name, packet.inbound, arrives=False)


def forged(name: str) -> Sent:
    """A packet in the client's name, made by the client or on the way."""
    return Sent(name, forged=True)


SCENES: Final[dict[str, Sequence[Scene]]] = {
    "post_syn": (
        Scene("The answer does not come back", (SYN, lost(SYN_ACK)), "90 s of silence", "syn_timeout"),
        Scene("A reset in the place of the ACK", (SYN, SYN_ACK, forged("RST")), "10 s of silence", "syn_rst"),
    ),
    "post_ack": (
        Scene("The first data is dropped", (*HANDSHAKE, lost(DATA)), "900 s of silence", "ack_timeout"),
        Scene(
            "A reset in the place of the first data",
            (*HANDSHAKE, lost(DATA), forged("RST")), "10 s of silence", "ack_rst",
        ),
    ),
    "post_psh": (
        Scene(
            "Nothing more after the first data",
            (*HANDSHAKE, DATA, lost(ANSWER)), "900 s of silence", "psh_timeout",
        ),
        Scene("A reset after the first data", (*HANDSHAKE, DATA, forged("RST")), "10 s of silence", "psh_rst"),
    ),
    "later_in_flow": (
        Scene(
            "A reset after more data",
            (*HANDSHAKE, DATA, ANSWER, MORE, forged("RST")), "10 s of silence", "data_rst",
        ),
    ),
    "no_match": (
        Scene(
            "Ended in order",
            (*HANDSHAKE, DATA, ANSWER, Sent("FIN"), Sent("FIN", inbound=False)), "10 s of silence", "",
        ),
    ),
}  # fmt: skip


def stage(name: str) -> str:
    """The picture of a stage as SVG: its scenes, one below the other."""
    parts, top = [], 52
    for scene in SCENES[name]:
        lines, height = drawn(scene, name, top)
        parts += lines
        top += height
    words = "; ".join(scene.title.lower() for scene in SCENES[name])
    return picture(f"Stage {name}: {words}", [*heads(), *parts], top)


def heads() -> Iterator[str]:
    """Who stands where."""
    for x, name in ((CLIENT, "client"), (CUT, "on the way"), (SERVER, "server")):
        yield text(x, 32, name, "quiet" if x == CUT else "title", "middle")
    yield text(SEEN, 32, "what the sensor has", "title")


def drawn(scene: Scene, stage: str, top: int) -> tuple[list[str], int]:
    """The lines of one scene that begins at `top`, and its height."""
    lines = [text(CLIENT - 40, top + 8, scene.title, "quiet")]
    first = top + 22
    y = first
    for packet in scene.packets:
        y += STEP
        lines += arrow(packet, y)
    y += STEP
    lines.append(text(SEEN, y + 4, scene.end, "quiet"))
    y += 24
    lines.append(text(SEEN, y + 4, f"{stage}{f', {scene.signature}' if scene.signature else ''}", "verdict"))
    ends = [f'<line class="line" x1="{x}" y1="{first}" x2="{x}" y2="{y}"/>' for x in (CLIENT, SERVER)]
    return [*ends, *lines], y + 30 - top


def arrow(packet: Sent, y: int) -> Iterator[str]:
    """A packet on its way, and what the sensor, which stands at the server, has of it."""
    begin, end = (CLIENT, SERVER) if packet.inbound else (SERVER, CLIENT)
    if packet.forged:
        begin = CUT
    if not packet.arrives:
        end = CUT
        yield f'<path class="cut" d="M{CUT - 6} {y - 6} l12 12 m0 -12 l-12 12"/>'
    gap = 4 if end > begin else -4
    yield (
        f'<line class="{"forged" if packet.forged else "arrow"}" x1="{begin}" y1="{y}" '
        f'x2="{end - (gap if packet.arrives else 3 * gap)}" y2="{y}"/>'
    )
    yield text((begin + end) // 2, y - 6, packet.name, "", "middle")
    if packet.inbound and packet.arrives:
        yield text(SEEN, y + 4, packet.name)


def tunnel() -> str:
    """The picture of a tunnel as SVG: from a visitor to the origin, and who knows of it."""
    boxes = {"visitor": 20, "edge": 170, "connector": 320, "origin": 470}
    words = {
        "visitor": "browser", "edge": "halfopen edge", "connector": "cloudflared", "origin": "your service",
        "registry": "halfopen serve",
    }  # fmt: skip
    lines = [
        text(90, 34, "asks for a hostname", "quiet", "middle"),
        text(335, 34, "four connections, opened by the connector", "quiet", "middle"),
        text(300, 162, "who is connected, which hostname", "quiet"),
        text(300, 182, "leads where, which secret is good", "quiet"),
    ]
    for name, x, y in (*((name, x, 50) for name, x in boxes.items()), ("registry", 170, 142)):
        lines += [
            f'<rect class="box" x="{x}" y="{y}" width="110" height="56" rx="6"/>',
            text(x + 55, y + 24, name, "title", "middle"),
            text(x + 55, y + 44, words[name], "quiet", "middle"),
        ]
    ways = ((130, 78, 168, 78), (430, 78, 468, 78), (225, 106, 225, 140))
    for x, y, to_x, to_y in (*ways, *((320, y, 282, y) for y in (60, 72, 84, 96))):
        lines.append(f'<line class="arrow" x1="{x}" y1="{y}" x2="{to_x}" y2="{to_y}"/>')
    title = "A tunnel: visitors reach the edge, connectors have opened connections to it, and it reports to the registry"
    return picture(title, lines, 216)


def text(x: int, y: int, words: str, kind: str = "", anchor: str = "start") -> str:
    """Words at a place."""
    of_kind = f' class="{kind}"' if kind else ""
    return f'<text{of_kind} x="{x}" y="{y}" text-anchor="{anchor}">{escape(words)}</text>'


def picture(title: str, lines: Sequence[str], height: int) -> str:
    """A whole file of SVG, on a panel of its own, so that it does not matter what is behind it."""
    markers = "".join(
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path class="{name}" d="M0 0 L8 4 L0 8 z"/></marker>'
        for name in ("head", "forged-head")
    )
    begin = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-label="{escape(title)}">'
    )
    panel = f'<rect class="panel" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>'
    style = f"<title>{escape(title)}</title><style>{STYLE}\n</style><defs>{markers}</defs>"
    return "\n".join([begin, style, panel, *lines, "</svg>", ""])
