from __future__ import annotations

import re
from string import ascii_uppercase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfopen.errors import InvalidError, Rejected
from halfopen.radar import vocabulary
from halfopen.radar.parameters import AHEAD, Question, question_of
from halfopen.radar.vocabulary import ASN, ENDPOINTS, FILTERS, SERVER_PORT, Filter, Format, Normalization
from halfopen.radar.windows import DAY, Window
from halfopen.store.query import Choice, Filters
from tests.radar.memory import NOW, at

Pair = tuple[str, str]


def question(*pairs: Pair, path: str = "timeseries_groups") -> Question:
    return question_of(ENDPOINTS[path], pairs, NOW)


def faults(*pairs: Pair, path: str = "timeseries_groups") -> list[str]:
    with pytest.raises(InvalidError) as raised:
        question(*pairs, path=path)
    return [str(fault) for fault in raised.value.rejected]


def test_no_parameter_at_all_is_seven_days_a1() -> None:
    asked = question(path="summary")
    assert [series.name for series in asked.series] == ["summary_0"]
    assert asked.series[0].window == Window(at("2026-08-08T09:00:00Z"), at("2026-08-15T09:00:00Z"))
    assert asked.series[0].filters == Filters()
    assert (asked.format, asked.normalization) == (Format.JSON, Normalization.PERCENTAGE)


def test_lists_with_spaces_and_exclusions_element_by_element() -> None:
    asked = question(
        ("asn", "-174, 3356"), ("location", "us"), ("location", "-US,PT"), ("continent", "EU, na")
    )
    first, second = asked.series
    assert first.filters.asn == Choice(frozenset({3356}), frozenset({174}))
    assert first.filters.location == Choice(frozenset({"US"}))
    assert first.filters.continent == Choice(frozenset({"EU", "NA"}))
    assert second.filters == Filters(location=Choice(frozenset({"PT"}), frozenset({"US"})))


def test_filters_of_our_own() -> None:
    asked = question(
        ("ipVersion", "ipv6"),
        ("serverPort", "-80,443"),
        ("signature", "SYN_RST,none"),
        ("tag", "-zmap"),
        ("sensor", "Edge 1"),
    )
    assert asked.series[0].filters == Filters(
        ip_version=Choice(frozenset({6})),
        server_port=Choice(frozenset({443}), frozenset({80})),
        signature=Choice(frozenset({"syn_rst", "none"})),
        tag=Choice(frozenset(), frozenset({"zmap"})),
        sensor=Choice(frozenset({"Edge 1"})),
    )


def test_an_empty_element_filters_nothing_and_keeps_its_place() -> None:
    asked = question(("location", ""), ("location", "US"), ("name", "world"), ("name", ""))
    assert [series.name for series in asked.series] == ["world", "serie_1"]
    assert [series.filters.location for series in asked.series] == [Choice(), Choice(frozenset({"US"}))]


def test_shorter_lists_leave_the_later_series_unfiltered_and_one_date_serves_all_a3() -> None:
    asked = question(("name", "a"), ("name", "b"), ("name", "c"), ("location", "US"), ("dateRange", "1d"))
    assert [bool(series.filters.location) for series in asked.series] == [True, False, False]
    assert {series.window.duration for series in asked.series} == {DAY}


def test_comparison_with_the_week_before() -> None:
    now, before = question(("dateRange", "7d"), ("dateRange", "7dControl")).series
    assert before.window.end == now.window.start
    assert (now.name, before.name) == ("serie_0", "serie_1")


def test_absolute_windows_are_floored() -> None:
    asked = question(("dateStart", "2026-08-01T10:07:03"), ("dateEnd", "2026-08-02T10:29:59.9 02:00"))
    assert asked.series[0].window == Window(at("2026-08-01T10:00:00Z"), at("2026-08-02T08:15:00Z"))


def test_unknown_parameters_are_ignored_a12() -> None:
    assert question(("foo", "x"), ("foo", "y"), ("limitPerGroup", "no")) == question()
    assert question(("aggInterval", "5m"), path="summary") == question(path="summary")


def test_words_are_read_in_any_case() -> None:
    asked = question(("format", "csv"), ("aggInterval", "1D"), ("normalization", "raw_values"))
    assert (asked.format, asked.interval.token) == (Format.CSV, "1d")
    assert asked.normalization is Normalization.RAW_VALUES


def test_every_fault_is_named_at_once_a11() -> None:
    assert faults(
        ("location", "string"), ("asn", "0,AS1,-7"), ("continent", "XX"), ("format", "xml"), ("dateRange", "7"),
        ("aggInterval", "2h"), ("ipVersion", "5"), ("serverPort", "65536"), ("name", "meta"), ("normalization", "MIN_MAX"),
    ) == [
        'dateRange: "7" is not 1d to 364d or 1w to 52w, with or without control after it',
        'asn: "0" is not an AS number from 1 to 4294967295',
        'asn: "AS1" is not an AS number from 1 to 4294967295',
        'location: "string" is not an ISO 3166-1 alpha-2 code',
        'continent: "XX" is not one of AF, AN, AS, EU, NA, OC, SA',
        'ipVersion: "5" is not one of IPv4, IPv6',
        'serverPort: "65536" is not a port from 0 to 65535',
        'name: "meta" is not a free name: the answer has a key meta of its own',
        'aggInterval: "2h" is not one of 15m, 1h, 1d, 1w',
        'format: "xml" is not one of JSON, CSV',
        'normalization: "MIN_MAX" is not one of PERCENTAGE, RAW_VALUES',
    ]  # fmt: skip


START, END = ("dateStart", "2026-08-01T00:00:00Z"), ("dateEnd", "2026-08-02T00:00:00Z")


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([START], 'dateStart: "2026-08-01T00:00:00Z" is not accepted without dateEnd'),
        ([END], 'dateEnd: "2026-08-02T00:00:00Z" is not accepted without dateStart'),
        ([("dateRange", "7d"), START, END], 'dateRange: "7d" is not accepted together with dateStart or dateEnd'),
        ([START, START, END], 'dateEnd: "2026-08-02T00:00:00Z" is not as many values as dateStart has'),
        ([START, ("dateEnd", "2026-08-01T00:14:00Z")], "is not later than dateStart"),
        ([START, ("dateEnd", "2026-09-01T00:00:00Z")], "is not a time in the past"),
        ([("dateStart", "2025-07-31T00:00:00Z"), END], "is not at most 366 days after dateStart"),
        ([START, ("dateEnd", "later")], 'dateEnd: "later" is not an ISO 8601 time'),
        ([("dateStart", "1969-01-01"), END], 'dateStart: "1969-01-01" is not an ISO 8601 time since 1970'),
        ([("name", "a"), ("name", "a")], 'name: "a" is not a name of one series only'),
        ([("name", "serie_1"), ("name", "")], 'name: "serie_1" is not a name of one series only'),
        ([("name", "x" * 101)], "is not a name of at most 100 printable characters"),
        ([("name", "a\r\nb")], "is not a name of at most 100 printable characters"),
        ([("dateRange", "7d"), ("dateRange", "8d")], 'dateRange: "7d,8d" is not of one duration'),
        ([("dateRange", "7d")] * 2 + [("name", "abc"[i]) for i in range(3)], "one for each of the 3"),
        ([("name", str(i)) for i in range(11)], 'name: "11 values" is not at most 10 series'),
        ([("asn", ",".join(map(str, range(1, 202))))], "is not at most 200 values"),
        ([("sensor", "x" * 20000)], "is not at most 16384 characters"),
        ([("format", "JSON"), ("format", "CSV")], 'format: "CSV,JSON" is not one value'),
        ([("format", "XML"), ("format", "csv")], 'format: "XML,csv" is not one value'),
        ([("dateRange", "32d"), ("aggInterval", "15m")], 'aggInterval: "15m" is not coarse enough'),
    ],
)  # fmt: skip
def test_faults(pairs: list[Pair], said: str) -> None:
    found = faults(*pairs)
    assert len(found) == 1
    assert said in found[0]


def test_a_clients_clock_may_be_a_little_ahead() -> None:
    asked = (("dateStart", "2026-08-15T09:00:00Z"), ("dateEnd", "2026-08-15T09:30:01Z"))
    for behind in (0, 1, AHEAD):
        (series,) = question_of(ENDPOINTS["summary"], asked, NOW - behind).series
        assert series.window.end == NOW
    with pytest.raises(InvalidError, match="is not a time in the past"):
        question_of(ENDPOINTS["summary"], asked, NOW - AHEAD - 1)


def test_the_finest_interval_of_a_month_is_few_enough_a18() -> None:
    assert question(("dateRange", "31d"), ("aggInterval", "15m")).interval.token == "15m"


def test_the_official_tests_of_all_parameters_are_refused() -> None:
    found = faults(
        ("asn", "string"), ("continent", "string"), ("dateEnd", "2019-12-27T18:11:19.117Z"), ("dateRange", "7d"),
        ("dateStart", "2019-12-27T18:11:19.117Z"), ("format", "JSON"), ("location", "string"), ("name", "main_series"),
    )  # fmt: skip
    assert {text.split(":")[0] for text in found} == {"asn", "continent", "location", "dateRange", "dateEnd"}


def test_groups_are_limited() -> None:
    assert question(path="summary/asn").limit == 10
    assert question(path="summary/signature").limit is None
    assert question(("limitPerGroup", "3"), path="summary/continent").limit == 3
    assert question(("limit", "3"), path="top/ases").limit == 3
    assert "number from 1 to 100" in faults(("limitPerGroup", "0"), path="summary/asn")[0]


def test_time_series_are_limited() -> None:
    month = [("dateRange", "31d"), ("aggInterval", "15m")]
    ten = [("name", str(i)) for i in range(10)]
    assert len(question(*month, *ten).series) == 10
    assert question(*month, ("limitPerGroup", "50"), path="timeseries_groups/asn").limit == 50
    for more, path in (([("limitPerGroup", "100")], "asn"), (ten, "tag")):
        assert "at most 200,000 numbers" in faults(*month, *more, path=f"timeseries_groups/{path}")[0]


def test_dates_that_are_empty_are_as_good_as_none() -> None:
    assert question(("dateRange", ""), ("dateStart", ""), ("dateEnd", "")) == question()
    assert question(("dateRange", ""), START, END) == question(START, END)
    assert 'dateRange: "" is not' in faults(("dateRange", "7d"), ("dateRange", ""))[0]


@pytest.mark.parametrize(
    ("name", "text"),
    [("location", "\u00df"), ("continent", "\u017fa"), ("ipVersion", "\u0131pv4"), ("signature", "data_rstac\u212a"),
     ("asn", "\u0663"), ("serverPort", "\u00b2"), ("format", "c\u017fv")],
)  # fmt: skip
def test_letters_that_only_become_ascii_in_another_case_are_refused(name: str, text: str) -> None:
    assert len(faults((name, text))) == 1


def test_all_codes_of_iso_3166_are_known() -> None:
    codes = [a + b for a in ascii_uppercase for b in ascii_uppercase]
    known = [code for code in codes if vocabulary.LOCATION.read(code)]
    assert len(known) == 249 + 1  # and XK, Kosovo


NAMES = st.sampled_from(
    [
        "name",
        "dateRange",
        "dateStart",
        "dateEnd",
        "asn",
        "location",
        "continent",
        "ipVersion",
        "serverPort",
        "signature",
        "tag",
        "sensor",
        "format",
        "aggInterval",
        "normalization",
        "limit",
        "limitPerGroup",
        "foo",
    ]
)
VALUES = st.text(max_size=12) | st.sampled_from(
    [
        "7d",
        "7dcontrol",
        "2026-08-01T00:00:00Z",
        "2026-08-02",
        "US,-PT",
        "EU",
        "443",
        "-174, 3356",
        "zmap",
        "CSV",
        "1d",
        "",
        "a",
    ]
)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=12), st.sampled_from(sorted(ENDPOINTS)))
def test_any_query_is_a_question_or_a_list_of_faults(pairs: list[Pair], path: str) -> None:
    asked = _read(pairs, path)
    if isinstance(asked, tuple):
        assert 0 < len(asked) == len(set(asked))
        return
    assert 1 <= len(asked.series) <= 10
    assert len({series.name for series in asked.series}) == len(asked.series)
    assert len({series.window.duration for series in asked.series}) == 1
    for series in asked.series:
        assert series.window.start < series.window.end <= NOW
        assert series.window.start % 900 == series.window.end % 900 == 0


def _read(pairs: list[Pair], path: str) -> Question | tuple[Rejected, ...]:
    try:
        return question_of(ENDPOINTS[path], pairs, NOW)
    except InvalidError as error:
        return error.rejected


CODES = st.sets(st.sampled_from(["US", "PT", "BR", "DE", "JP"]))


@given(CODES, CODES, st.sampled_from([",", ", ", " ,", ",,"]), st.booleans())
def test_what_was_written_is_what_is_read(
    include: set[str], exclude: set[str], between: str, lower: bool
) -> None:
    text = between.join([*sorted(include), *(f"-{code}" for code in sorted(exclude))])
    asked = question(("location", text.lower() if lower else text))
    assert asked.series[0].filters.location == Choice(frozenset(include), frozenset(exclude))


@given(
    st.sampled_from(FILTERS).flatmap(
        lambda kind: st.tuples(st.just(kind), st.from_regex(kind.pattern, fullmatch=True))
    )
)
def test_what_a_pattern_tells_is_read(drawn: tuple[Filter[Any], str]) -> None:
    kind, text = drawn
    assert kind.read(text) is not None


@given(st.integers(0, 2**33) | st.sampled_from([0, 65535, 65536, 2**32 - 1, 2**32]))
def test_a_pattern_knows_where_numbers_end(number: int) -> None:
    for kind in (ASN, SERVER_PORT):
        told = re.fullmatch(kind.pattern, str(number)) is not None
        assert told == (kind.read(str(number)) is not None)
