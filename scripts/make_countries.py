"""Make src/halfopen/places/countries.csv: code, name, continent, UN region and a point of every country.

The sources are free to use and are not kept here; they are brought along, in one directory:

- ``territoryContainment.json`` of cldr-core and ``territories.json`` (English) of cldr-localenames-full, releases of
  the Unicode CLDR as npm packages (Unicode License V3): names, and who belongs to which region of UN M49;
- ``ne_10m_admin_0_countries_deu.dbf`` of Natural Earth 5 (public domain): where a map writes the name of a country;
- ``zone.tab`` of the tz database (public domain): a place in those that Natural Earth counts to another country.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

OUTPUT: Final = Path(__file__).resolve().parent.parent / "src" / "halfopen" / "places" / "countries.csv"

SHORT: Final = ("HK", "MM", "MO", "PN", "PS")
"""Whose short name in the CLDR is the common one."""

NAMES: Final = {
    "CD": "Democratic Republic of the Congo",
    "CG": "Republic of the Congo",
    "CV": "Cabo Verde",
    "GS": "South Georgia and the South Sandwich Islands",
    "HM": "Heard Island and McDonald Islands",
    "UM": "United States Minor Outlying Islands",
    "VC": "Saint Vincent and the Grenadines",
    "VI": "United States Virgin Islands",
}
"""Names that the CLDR shortens."""

M49: Final = {"035": "South-eastern Asia", "053": "Australia and New Zealand", "057": "Micronesia"}
"""Regions that the CLDR calls otherwise than UN M49."""

CONTINENTS: Final = {"002": "AF", "009": "OC", "019": "NA", "142": "AS", "150": "EU"}
SOUTH_AMERICA: Final = "005"
ELSEWHERE: Final = {
    "AQ": "AN", "BV": "AN", "CC": "AS", "CY": "EU", "GS": "AN", "HM": "AN", "IO": "AS", "TF": "AN", "TL": "OC",
}  # fmt: skip
"""Continents that GeoNames chooses otherwise than by the region, and MaxMind and others with it."""

POINTS: Final = {"BV": (-54.43, 3.41)}
"""Of what is in none of the sources: the island in the South Atlantic."""

_Point = tuple[float, float]


def make(sources: Path, output: Path) -> int:
    """Write the table; how many countries it has."""
    rows = sorted(_rows(sources))
    with output.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("code", "name", "continent", "region", "subregion", "latitude", "longitude"))
        table.writerows(rows)
    return len(rows)


def _rows(sources: Path) -> Iterator[tuple[str, ...]]:
    names: dict[str, str] = _cldr(
        sources / "territories.json", "main", "en", "localeDisplayNames", "territories"
    )
    contained: dict[str, Any] = _cldr(
        sources / "territoryContainment.json", "supplemental", "territoryContainment"
    )
    points = _zones(sources / "zone.tab") | _labels(sources / "ne_10m_admin_0_countries_deu.dbf") | POINTS
    yield "AQ", names["AQ"], ELSEWHERE["AQ"], names["AQ"], names["AQ"], *_texts(points["AQ"])
    for region in contained["001"]["_contains"]:
        for subregion in contained[region]["_contains"]:
            for code in contained.get(subregion, {"_contains": ()})["_contains"]:
                if code not in points or code == "AQ":
                    continue  # IC, the Canary Islands, and other codes that are not of ISO 3166-1; told above
                continent = "SA" if subregion == SOUTH_AMERICA else CONTINENTS[region]
                yield (
                    code, _name(code, names), ELSEWHERE.get(code, continent), names[region],
                    M49.get(subregion, names[subregion]), *_texts(points[code]),
                )  # fmt: skip


def _cldr(path: Path, *keys: str) -> Any:
    found = json.loads(path.read_text(encoding="utf-8"))
    for key in keys:
        found = found[key]
    return found


def _name(code: str, names: dict[str, str]) -> str:
    name = NAMES.get(code) or names[f"{code}-alt-short" if code in SHORT else code]
    return (
        name.replace(" & ", " and ").replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").replace("St. ", "Saint ")
    )


def _zones(path: Path) -> dict[str, _Point]:
    """The place of the first time zone of each country."""
    points: dict[str, _Point] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            code, place = line.split("\t")[:2]
            latitude, longitude = re.findall(r"[+-]\d+", place)
            points.setdefault(code, (_degrees(latitude, 2), _degrees(longitude, 3)))
    return points


def _degrees(text: str, digits: int) -> float:
    """±DDMM or ±DDMMSS (longitudes have three digits of degrees) as degrees."""
    sign, whole, rest = text[0], text[1 : 1 + digits], text[1 + digits :]
    value = int(whole) + int(rest[:2]) / 60 + int(rest[2:] or 0) / 3600
    return -value if sign == "-" else value


def _labels(path: Path) -> dict[str, _Point]:
    """Where Natural Earth writes the name of each country; its largest label, where outlying parts have their own."""
    rows = sorted(_dbf(path), key=lambda row: -int(row["LABELRANK"]))
    return {row["ISO_A2_EH"]: (float(row["LABEL_Y"]), float(row["LABEL_X"])) for row in rows}


def _dbf(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a dBase file, every field as text."""
    data = path.read_bytes()
    begin, length = (int.from_bytes(data[at : at + 2], "little") for at in (8, 10))
    fields = [data[at : at + 32] for at in range(32, begin - 1, 32)]
    for row in range(int.from_bytes(data[4:8], "little")):
        at, values = begin + row * length + 1, {}
        for field in fields:
            values[_text(field[:11])] = _text(data[at : at + field[16]])
            at += field[16]
        yield values


def _text(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("utf-8").strip()


def _texts(point: _Point) -> tuple[str, str]:
    latitude, longitude = (f"{degrees:.2f}".rstrip("0").rstrip(".") for degrees in point)
    return latitude, longitude


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    print(f"{OUTPUT.name}: {make(Path(sys.argv[1]), OUTPUT)} countries")
