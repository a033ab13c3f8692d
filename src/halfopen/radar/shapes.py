"""What the answers about the dataset look like, as the document tells it (A6): words out of the vocabulary, Radar's names."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, TypeAlias

from msgspec import Meta, Struct

from halfopen.api.shapes import Keyed, Time
from halfopen.radar.annotations import DATA_SOURCES, EVENT_TYPES
from halfopen.radar.vocabulary import Endpoint, Form, Normalization
from halfopen.radar.windows import INTERVALS
from halfopen.store.query import Dimension

Number: TypeAlias = Annotated[str, Meta(pattern=r"^-?\d+(\.\d+)?$", description="A number as text.")]
Link: TypeAlias = Annotated[str, Meta(extra_json_schema={"format": "uri"})]


class RadarWindow(Struct, frozen=True, rename="camel"):
    """The window of a series, as it was resolved."""

    start_time: Time
    end_time: Time


class RadarUnit(Struct, frozen=True):
    """What is counted."""

    name: str
    value: str


class RadarTold(Struct, frozen=True, rename="camel"):
    """What happened in the time of an answer."""

    data_source: Literal[DATA_SOURCES]  # type: ignore[valid-type]
    description: str
    start_date: Time
    end_date: Time
    event_type: Literal[EVENT_TYPES]  # type: ignore[valid-type]
    is_instantaneous: bool
    linked_url: Link
    tags: list[str]


class RadarConfidence(Struct, frozen=True):
    """How far the shares can be trusted: 5 well, 3 something is odd, 2 little data, 1 hardly any."""

    level: Literal[1, 2, 3, 5]
    annotations: list[RadarTold]


class RadarMeta(Struct, frozen=True, rename="camel"):
    """What the numbers of an answer are about; `dateRange` holds one window for each series."""

    date_range: list[RadarWindow]
    confidence_info: RadarConfidence
    normalization: Normalization
    last_updated: Time
    units: list[RadarUnit]


class RadarSeriesMeta(RadarMeta, frozen=True, rename="camel"):
    """What the numbers of time series are about."""

    agg_interval: Literal[tuple(interval.name for interval in INTERVALS)]  # type: ignore[valid-type]


class RadarStages(Struct, frozen=True):
    """Shares (%) or counts of the five stages."""

    no_match: Number
    post_syn: Number
    post_ack: Number
    post_psh: Number
    later_in_flow: Number


class RadarStagesOverTime(Struct, frozen=True):
    """Shares (%) or counts of the five stages, one for each bucket; `timestamps` says where it begins."""

    timestamps: list[Time]
    no_match: list[Number]
    post_syn: list[Number]
    post_ack: list[Number]
    post_psh: list[Number]
    later_in_flow: list[Number]


class RadarTopNetwork(Struct, frozen=True):
    """A network and its part."""

    clientASN: int  # noqa: N815 - Radar's name
    clientASName: str  # noqa: N815
    value: Number


class RadarTopLocation(Struct, frozen=True, rename="camel"):
    """A country and its part."""

    client_country_alpha2: str
    client_country_name: str
    value: Number


class RadarShare(Struct, frozen=True):
    """How many connections there were, in all, `sampled` of them and `cut`, and the share cut (%) with its 95 % interval."""

    connections: Number
    sampled: Number
    cut: Number
    share: Number
    low: Number
    high: Number


class RadarChange(Struct, frozen=True, rename="camel"):
    """By how many points the share is another than before, with the 95 % interval, and whether that is beyond chance."""

    points: Number
    low: Number
    high: Number
    beyond_chance: bool


class RadarAffected(RadarShare, frozen=True, kw_only=True):
    """How much a group is affected; it has no `before` where nothing of it came in the control window."""

    name: str
    stages: RadarStages
    before: RadarShare | None
    change: RadarChange | None


class RadarAffectedNetwork(RadarAffected, frozen=True, kw_only=True):
    """A network, its country by the places files, and how much it is affected."""

    code: int
    location: str


class RadarAffectedLocation(RadarAffected, frozen=True, kw_only=True):
    """A country, and how much it is affected."""

    code: str


class RadarAffectedMeta(RadarMeta, frozen=True, rename="camel"):
    """What the numbers are about; `before` is the control window."""

    before: RadarWindow


class RadarAffectedNetworks(Struct, frozen=True):
    """Networks, most affected first."""

    affected: list[RadarAffectedNetwork]
    meta: RadarAffectedMeta


class RadarAffectedLocations(Struct, frozen=True):
    """Countries, most affected first."""

    affected: list[RadarAffectedLocation]
    meta: RadarAffectedMeta


_TOP: Final = {Dimension.asn: list[RadarTopNetwork], Dimension.location: list[RadarTopLocation]}


def result_of(endpoint: Endpoint) -> Keyed:
    """The result of an endpoint: `meta`, and each series under its name."""
    if endpoint.form is Form.top:
        return Keyed({"meta": RadarMeta}, _TOP[endpoint.by])
    over_time = endpoint.form is Form.timeseries_groups
    one: Any
    if endpoint.by is Dimension.stage:
        one = RadarStagesOverTime if over_time else RadarStages
    elif over_time:
        one = Keyed({"timestamps": list[Time]}, list[Number])
    else:
        one = dict[str, Number]
    return Keyed({"meta": RadarSeriesMeta if over_time else RadarMeta}, one)
