"""Make src/halfopen/figures/world.json: the outlines of the countries, as TopoJSON, by their codes.

The sources are free to use and are not kept here; they are brought along, in one directory:

- ``countries-110m.json`` of the npm package world-atlas 2 (ISC License): Natural Earth's countries at 1:110,000,000 (public
  domain), with the numbers of ISO 3166-1;
- ``codeMappings.json`` of the npm package cldr-core (Unicode License V3): which code has which number.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Final

from halfopen.places.countries import COUNTRIES

OUTPUT: Final = Path(__file__).resolve().parent.parent / "src" / "halfopen" / "figures" / "world.json"

UNNUMBERED: Final = {"Kosovo": "XK", "N. Cyprus": "CY", "Somaliland": "SO"}
"""What Natural Earth draws by itself and ISO 3166-1 has no number for, and to which code places files count addresses there."""

LEFT_OUT: Final = "AQ"
"""It takes a fifth of the map, and nobody connects from there."""


def make(sources: Path, output: Path) -> int:
    """Write the outlines; how many countries they have."""
    world = json.loads((sources / "countries-110m.json").read_text(encoding="utf-8"))
    codes = _codes(sources / "codeMappings.json")
    shapes = [
        {"type": shape["type"], "id": code, "arcs": shape["arcs"]}
        for shape in world["objects"]["countries"]["geometries"]
        if (code := _code(shape, codes)) != LEFT_OUT
    ]
    used = sorted({_arc(number) for shape in shapes for number in _numbers(shape["arcs"])})
    places = {number: place for place, number in enumerate(used)}
    for shape in shapes:
        shape["arcs"] = _renumbered(shape["arcs"], places)
    made = {
        "type": "Topology",
        "objects": {"countries": {"type": "GeometryCollection", "geometries": shapes}},
        "arcs": [world["arcs"][number] for number in used],
        "transform": world["transform"],
    }
    output.write_text(json.dumps(made, separators=(",", ":")) + "\n", encoding="utf-8")
    return len({shape["id"] for shape in shapes})


def _codes(path: Path) -> dict[str, str]:
    """The code of each number; codes that went out of use still have theirs."""
    mappings = json.loads(path.read_text(encoding="utf-8"))["supplemental"]["codeMappings"]
    return {mappings[code]["_numeric"]: code for code in COUNTRIES if "_numeric" in mappings[code]}


def _code(shape: dict[str, Any], codes: dict[str, str]) -> str:
    return codes[shape["id"]] if "id" in shape else UNNUMBERED[shape["properties"]["name"]]


def _numbers(arcs: Any) -> list[int]:
    return [arcs] if isinstance(arcs, int) else [number for each in arcs for number in _numbers(each)]


def _arc(number: int) -> int:
    """An arc that is drawn backwards is named by the complement of its number."""
    return ~number if number < 0 else number


def _renumbered(arcs: Any, places: dict[int, int]) -> Any:
    if isinstance(arcs, list):
        return [_renumbered(each, places) for each in arcs]
    return ~places[~arcs] if arcs < 0 else places[arcs]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(f"{OUTPUT.name}: {make(Path(sys.argv[1]), OUTPUT)} countries")
