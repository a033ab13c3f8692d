"""A dataset in memory, its answers, and every figure of them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import altair

from halfopen import figures
from halfopen.figures.of_dataset import OfDataset
from halfopen.radar.annotations import Annotation
from halfopen.store.query import Gap
from tests.radar.memory import NOW, Memory, Seen, around, at

SILENT: Final = (at("2026-08-12T02:00:00Z"), at("2026-08-12T09:00:00Z"))
RELEASE: Final = Annotation(
    "Release 4.2 went out.", at("2026-08-11T09:00:00Z"), at("2026-08-11T09:00:00Z"), is_instantaneous=True
)

_CUT: Final = {
    "post_syn": ("syn_timeout", "syn_rst"),
    "post_ack": ("ack_timeout", "ack_rst"),
    "post_psh": ("psh_rstacks", "psh_rsts_other_acks"),
    "later_in_flow": ("data_rst", "none"),
}
_PLACES: Final = ("PT", "US", "BR", "DE", "SG", "MT", "XK", "")


def seen(count: int = 3000, seed: int = 1) -> list[Seen]:
    """Connections of two weeks, none in the hours in which the sensor was silent."""
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        time = chance.randrange(at("2026-08-01T00:00:00Z"), at("2026-08-15T08:00:00Z"))
        if SILENT[0] <= time < SILENT[1]:
            continue
        stage = chance.choices(("no_match", *_CUT), (88, 3, 2, 5, 2))[0]
        signature = chance.choice(_CUT.get(stage, ("none",)))
        place = chance.randrange(len(_PLACES))
        found.append(
            Seen(
                time,
                stage,
                signature=signature,
                asn=str(64500 + place) if _PLACES[place] else "",
                location=_PLACES[place],
                sensor="web-1",
            )
        )
    return found


DATASET: Final = Memory(seen(), [Gap("web-1", *SILENT)])


def of(dataset: Memory = DATASET, *pairs: tuple[str, str], told: Sequence[Annotation] = ()) -> OfDataset:
    return OfDataset(dataset, around(*told), pairs, NOW)


def all_figures() -> Mapping[str, altair.TopLevelMixin]:
    """Each figure by its name."""
    whole = of(told=[RELEASE])
    return {
        "stages": figures.stages_over_time(*whole.over_time()),
        "comparison": figures.comparison(of(DATASET, ("dateRange", "3d")).both()),
        "signatures": figures.signatures(whole.signatures()),
        "world": figures.world(whole.affected("location")),
        "affected": figures.affected(whole.affected("asn")),
        "blank": figures.world([]),
    }


def layers(spec: Mapping[str, Any], mark: str) -> Iterator[Mapping[str, Any]]:
    """The layers of a specification with this kind of mark."""
    for layer in spec["layer"]:
        if layer["mark"]["type"] == mark:
            yield layer


def rows(spec: Mapping[str, Any], layer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a layer draws."""
    name = layer.get("data", spec.get("data"))["name"]
    found: list[dict[str, Any]] = spec["datasets"][name]
    return found
