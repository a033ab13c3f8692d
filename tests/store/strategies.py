"""Random connections and filters."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from halfopen.connections.rules import SIGNATURES, Tag
from halfopen.model import Stage
from halfopen.store.query import Choice, Filters
from tests.store.rows import BEGIN, SPAN, Row, row


def random_rows(most: int = 30) -> st.SearchStrategy[list[Row]]:
    tags = st.sets(st.sampled_from(Tag), max_size=4).map(lambda found: sum(1 << tag for tag in found))
    one = st.builds(
        row,
        st.integers(BEGIN, BEGIN + SPAN - 1),
        stage=st.sampled_from([int(stage) for stage in Stage]),
        signature=st.integers(0, len(SIGNATURES)),
        tags=tags,
        ip_version=st.sampled_from([4, 6]),
        server_port=st.sampled_from([80, 443, 8443]),
        asn=st.sampled_from([None, 64496, 64497, 4_200_000_000]),
        location=st.sampled_from([None, "DE", "US"]),
        continent=st.sampled_from([None, "EU", "NA"]),
        weight=st.sampled_from([1.0, 2.0, 64.0]),
    )
    return st.lists(one, max_size=most)


def random_filters() -> st.SearchStrategy[Filters]:
    def choice(*values: Any) -> st.SearchStrategy[Any]:
        some = st.frozensets(st.sampled_from(values), max_size=2)
        return st.one_of(st.just(Choice()), st.builds(Choice, some, some))

    return st.builds(
        Filters,
        asn=choice(64496, 64497, 64499),
        location=choice("DE", "US", "FR"),
        continent=choice("EU", "NA"),
        ip_version=choice(4, 6),
        server_port=choice(80, 443),
        signature=choice("none", "syn_rst", "psh_rst"),
        tag=choice("timeout", "reset", "zmap", "mirai"),
        sensor=choice("lyon", "oslo"),
    )
