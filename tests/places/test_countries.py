"""Every country that has a continent has a name."""

from __future__ import annotations

from string import ascii_uppercase

from halfopen.places.continents import continent_of
from halfopen.places.countries import country_name


def test_names_and_continents_know_the_same_countries() -> None:
    codes = [first + second for first in ascii_uppercase for second in ascii_uppercase]
    assert [code for code in codes if bool(country_name(code)) != bool(continent_of(code))] == []
    names = [country_name(code) for code in codes if country_name(code)]
    assert len(set(names)) == len(names) == 250
