"""What an installation tells beside its answers: the annotations that are kept, and names out of its places files."""

from __future__ import annotations

from functools import partial

from halfopen.places.countries import country_name
from halfopen.radar.answers import Surroundings
from halfopen.radar.atlas import Atlas
from halfopen.radar.notes import Notes
from halfopen.store.query import Dimension


def surroundings(notes: Notes, atlas: Atlas, base_url: str) -> Surroundings:
    """As they are now, for a client that finds the installation at `base_url`."""
    told = [note.annotation for note in notes.all()]
    return Surroundings(
        told, f"{base_url}/annotations", partial(_name_of, atlas), partial(_country_of, atlas), atlas.version
    )


def _name_of(atlas: Atlas, by: Dimension, code: str) -> str:
    if by is Dimension.location:
        return country_name(code)
    network = atlas.networks().get(int(code)) if by is Dimension.asn else None
    return network.name if network else ""


def _country_of(atlas: Atlas, asn: str) -> str:
    network = atlas.networks().get(int(asn))
    return network.country if network else ""
