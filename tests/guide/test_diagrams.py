"""The pictures of the stages are true: what the sensor has of each scene is judged as the picture says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

import pytest

import halfopen
from halfopen.model import STAGES
from halfopen.testing.conversation import Conversation, framed
from halfopen.testing.payloads import client_hello
from halfopen.testing.pcap import pcap
from tests.house.project import DOCS, script

SCENES: Final[Mapping[str, Sequence[Any]]] = script("diagrams.py")["SCENES"]
PICTURES: Final = sorted((DOCS / "diagrams").glob("*.svg"))
HELLO: Final = client_hello("www.example")
LONG: Final = 2000
"""Seconds after which everything is final."""


def played(scene: Any) -> Conversation:
    """What arrived of the scene from the client: that alone is judged."""
    made = Conversation(("192.0.2.10", 40000), ("203.0.113.200", 443))
    seen: dict[str, Callable[[], object]] = {
        "SYN": made.syn, "ACK": made.ack, "RST": made.rst, "FIN": made.fin,
        "data, pushed": lambda: made.data(HELLO), "more data, pushed": lambda: made.data(b"more"),
    }  # fmt: skip
    for packet in scene.packets:
        if packet.inbound and packet.arrives:
            seen[packet.name]()
    return made.wait(LONG).tick()


def test_every_stage_has_a_picture() -> None:
    assert set(SCENES) == {stage.name for stage in STAGES}
    page = (DOCS / "concepts.md").read_text()
    assert [each.name for each in PICTURES if f"](diagrams/{each.name})" not in page] == []


@pytest.mark.parametrize("stage", SCENES)
def test_what_the_sensor_has_is_judged_so(stage: str, tmp_path: Path) -> None:
    for scene in SCENES[stage]:
        capture = tmp_path / "scene.pcap"
        capture.write_bytes(pcap(framed(played(scene))))
        (row,) = halfopen.classify([capture]).to_pylist()
        assert (row["stage"], row["signature"]) == (stage, scene.signature or "none"), scene.title


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.stem)
def test_a_picture_needs_nothing_and_is_told_in_words(picture: Path) -> None:
    root = ElementTree.fromstring(picture.read_text())
    assert root.get("aria-label")
    assert "prefers-color-scheme: dark" in picture.read_text()
    assert not {element.tag.rpartition("}")[2] for element in root.iter()} & {"image", "script", "use"}
    assert "url(http" not in picture.read_text()
