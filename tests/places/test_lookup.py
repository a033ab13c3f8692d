"""Places of many addresses: equal to maxminddb address by address, several files, damage."""

from __future__ import annotations

import ipaddress
import random
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

import maxminddb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from halfopen.errors import PlacesError
from halfopen.model import PLACE
from halfopen.places import Places, lookup
from halfopen.places.networks import networks
from halfopen.places.records import Answer
from tests.places.files import asn, country, halves, look_up, write
from tests.places.strategies import addresses, networks4, networks6


@pytest.fixture(scope="module", autouse=True)
def _compiled(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Compiling is not charged to the first test."""
    path = write(tmp_path_factory.mktemp("places") / "a.mmdb", {"192.0.2.0/24": country("DE")})
    look_up(Places.open([path]), "192.0.2.1")


@settings(max_examples=150)
@given(st.data(), st.sampled_from([4, 6]), st.sampled_from([24, 28, 32]))
def test_the_bulk_walk_is_equal_to_maxminddb(data: st.DataObject, ip_version: int, record_size: int) -> None:
    kinds: st.SearchStrategy[Any] = networks4 if ip_version == 4 else networks4 | networks6
    drawn = data.draw(st.lists(kinds, min_size=1, max_size=8, unique=True))
    records = {str(network): asn(i + 1) for i, network in enumerate(drawn)}
    with tempfile.TemporaryDirectory() as directory:
        path = write(Path(directory) / "a.mmdb", records, ip_version=ip_version, record_size=record_size)
        asked = data.draw(addresses(drawn))
        with maxminddb.open_database(path) as reader:
            assert reader.metadata().record_size == record_size
            expected = []
            for address in asked:
                found: Any = None if ip_version == 4 and ":" in address else reader.get(address)
                expected.append(found["autonomous_system_number"] if found else 0)
        places = Places.open([path])
        assert [row[0] for row in look_up(places, *asked)] == expected
        assert [row[0] for row in look_up(places, *asked, *asked)] == expected * 2
        assert [places.answer(ipaddress.ip_address(address)).asn for address in asked] == expected


@pytest.mark.parametrize("record_size", [28, 32])
def test_wide_records_use_all_their_bits(record_size: int, tmp_path: Path) -> None:
    """28-bit records keep their upper bits apart; here they are not zero."""
    path = tmp_path / "wide.mmdb"
    many = {f"10.{i}.0.0/16": asn(i + 1, "x" * 60_000 + str(i)) for i in range(256)}
    many |= {"11.0.0.0/8": asn(1000, "y" * 1_900_000)}  # 17 MB of data: more than 24 bits
    write(path, many, ip_version=4, record_size=record_size)
    with maxminddb.open_database(path) as reader:
        assert reader.metadata().record_size == record_size
    rows = look_up(Places.open([path]), *[f"10.{i}.1.2" for i in range(256)], "11.1.1.1", "12.0.0.0")
    assert [row[0] for row in rows] == [*range(1, 257), 1000, 0]


def test_the_first_source_that_knows_answers_field_by_field(tmp_path: Path) -> None:
    own = write(tmp_path / "own.mmdb", {"192.0.2.0/25": asn(64496, "Ours"), "198.51.100.0/24": country("DE")})
    bought = write(
        tmp_path / "bought.mmdb",
        {"192.0.2.0/24": asn(1, "Theirs") | country("FR"), "198.51.100.0/24": asn(2, "Two") | country("US")},
    )
    asked = ("192.0.2.1", "192.0.2.129", "198.51.100.1", "203.0.113.1")
    assert look_up(Places.open([own, bought]), *asked) == [
        (64496, "FR", "EU"),
        (1, "FR", "EU"),
        (2, "DE", "EU"),
        (0, "", ""),
    ]
    assert look_up(Places.open([bought, own]), *asked)[0] == (1, "FR", "EU")
    one_by_one = [Places.open([own, bought]).answer(ipaddress.ip_address(address)) for address in asked]
    assert one_by_one == [
        Answer(64496, "FR", "EU", "Ours"),
        Answer(1, "FR", "EU", "Theirs"),
        Answer(2, "DE", "EU", "Two"),
        Answer(),
    ]


def test_one_address_mapped_or_of_the_other_version(tmp_path: Path) -> None:
    places = Places.open([write(tmp_path / "a.mmdb", {"192.0.2.0/24": asn(1)}, ip_version=4)])
    asked = ("192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1")
    assert [places.answer(ipaddress.ip_address(each)).asn for each in asked] == [1, 1, 0]


def test_network_names_are_those_met(tmp_path: Path) -> None:
    a = write(
        tmp_path / "a.mmdb", {"192.0.2.0/24": asn(64496, "First"), "198.51.100.0/24": asn(64497, "Two")}
    )
    b = write(tmp_path / "b.mmdb", {"192.0.2.0/23": asn(64496, "Second"), "203.0.113.0/24": asn(64498)})
    places = Places.open([b, a])
    assert places.network_name(64496) == ""
    look_up(places, "192.0.2.1", "203.0.113.1")
    assert [places.network_name(number) for number in (64496, 64497, 64498)] == ["Second", "", ""]


def test_a_directory_gives_its_mmdb_files_by_name(tmp_path: Path) -> None:
    write(tmp_path / "b.mmdb", {"192.0.2.0/24": country("FR")})
    write(tmp_path / "a.mmdb", {"192.0.2.0/25": country("DE")})
    (tmp_path / "README.txt").write_text("not a source")
    places = Places.open([str(tmp_path)])
    assert [source.path.name for source in places.sources] == ["a.mmdb", "b.mmdb"]
    assert [row[1] for row in look_up(places, "192.0.2.1", "192.0.2.129")] == ["DE", "FR"]


def test_without_sources_everything_is_unknown() -> None:
    places = Places.open([])
    assert places.sources == []
    assert look_up(places, "192.0.2.1", "2001:db8::1") == [(0, "", ""), (0, "", "")]
    assert places.network_name(64496) == ""


def test_no_addresses_and_rows_of_another_array(tmp_path: Path) -> None:
    places = Places.open([write(tmp_path / "a.mmdb", {"192.0.2.0/24": country("DE")})])
    none = places.lookup(*halves())
    assert (none.dtype, len(none)) == (PLACE, 0)
    rows = np.zeros(3, [("port", np.uint16), ("hi", np.uint64), ("lo", np.uint64)])
    rows["hi"], rows["lo"] = halves("192.0.2.1", "192.0.3.1", "192.0.2.2")
    rows.flags.writeable = False
    assert places.lookup(rows["hi"], rows["lo"])["location"].tolist() == [b"DE", b"", b"DE"]


def test_sources_say_what_they_are(tmp_path: Path) -> None:
    a = write(
        tmp_path / "a.mmdb", {"192.0.2.0/24": asn(1), "2001:db8::/32": country("DE")}, database_type="Mine"
    )
    b = write(tmp_path / "b.mmdb", {"10.0.0.0/8": {"continent_code": "EU"}}, ip_version=4)
    c = write(tmp_path / "c.mmdb", {"10.0.0.0/8": {"is_anonymous_proxy": True}}, built=2**62)
    mine, flat, other = Places.open([a, b, c]).sources
    assert (mine.path, mine.database_type, mine.built) == (a, "Mine", date(2025, 1, 1))
    assert (mine.gives, mine.ip_versions) == (("asn", "location", "continent"), (4, 6))
    with maxminddb.open_database(a) as reader:
        assert mine.nodes == reader.metadata().node_count
    assert (flat.gives, flat.ip_versions, flat.built) == (("continent",), (4,), date(2025, 1, 1))
    assert (other.gives, other.built) == ((), None)
    assert str(mine) == "a.mmdb (Mine, of 2025-01-01: asn, location, continent)"
    assert str(other) == "c.mmdb (Test, without a date: nothing known)"


def test_ipv4_is_also_found_where_the_tree_ends_above_it(tmp_path: Path) -> None:
    places = Places.open([write(tmp_path / "a.mmdb", {"::/1": country("DE")})])
    assert [row[1] for row in look_up(places, "192.0.2.1", "::1", "8000::")] == ["DE", "DE", ""]


def test_more_addresses_than_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookup, "_MOST_ADDRESSES", 1 << 9)
    monkeypatch.setattr(lookup, "MOST_KEYS", 1 << 7)
    path = write(tmp_path / "a.mmdb", {f"10.0.{i}.0/24": asn(i + 1) for i in range(256)})
    numbers = random.Random(1).choices(range(1 << 16), k=5000)
    asked = [str(ipaddress.IPv4Address((10 << 24) + number)) for number in numbers]
    assert [row[0] for row in look_up(Places.open([path]), *asked)] == [
        number // 256 + 1 for number in numbers
    ]


def test_threads_share_one_look_up(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mmdb", {f"10.0.{i}.0/24": asn(i + 1) for i in range(256)})
    places = Places.open([path])

    def ask(seed: int) -> bool:
        numbers = random.Random(seed).choices(range(1 << 16), k=20_000)
        lo = np.array(numbers, np.uint64) + np.uint64((0xFFFF << 32) + (10 << 24))
        rows = places.lookup(np.zeros(len(lo), np.uint64), lo)
        return bool((rows["asn"] == np.array(numbers) // 256 + 1).all())

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(8)))


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "No such file"), (b"", "MMDB"), (b"not a database", "MMDB"), (bytes(4000), "MMDB")],
)
def test_a_file_that_is_none_is_named(content: bytes | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.mmdb"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PlacesError, match=rf"odd\.mmdb: .*{words}"):
        Places.open([path])


def test_an_empty_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlacesError, match=r"no \*\.mmdb file"):
        Places.open([tmp_path])


def damaged(path: Path, old: bytes, new: bytes) -> Path:
    content = path.read_bytes()
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))
    return path


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"Krecord_size\xa1\x18", b"Krecord_size\xa1\x19", "MMDB|records of 25"),
        (b"Jip_version\xa1\x04", b"Jip_version\xa1\x05", "MMDB|version 5"),
    ],
)
def test_damaged_metadata(old: bytes, new: bytes, words: str, tmp_path: Path) -> None:
    path = write(tmp_path / "a.mmdb", {"192.0.2.0/24": country("DE")}, ip_version=4)
    with pytest.raises(PlacesError, match=words):
        Places.open([damaged(path, old, new)])


def test_a_tree_larger_than_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mmdb", {"192.0.2.0/24": country("DE")}, ip_version=4)
    with pytest.raises(PlacesError, match=r"MMDB|does not fit"):
        Places.open([damaged(path, b"node_count\xc1\x18", b"node_count\xc1\xf8")])


def tree(path: Path, *records: tuple[int, int]) -> Path:
    """Overwrite the first nodes of a tree with 24-bit records."""
    content = b"".join(left.to_bytes(3) + right.to_bytes(3) for left, right in records)
    path.write_bytes(content + path.read_bytes()[len(content) :])
    return path


def test_a_loop_in_the_tree_ends(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mmdb", {"192.0.2.0/24": country("DE")}, ip_version=4)
    places = Places.open([tree(path, (0, 0))])
    with pytest.raises(PlacesError, match=r"a\.mmdb: its search tree leads nowhere"):
        look_up(places, "192.0.2.1")
    with pytest.raises(PlacesError, match="leads nowhere"):  # and not "unknown" at the second time
        look_up(places, "192.0.2.1")
    with pytest.raises(PlacesError, match=r"a\.mmdb: the record of 192\.0\.2\.1"):
        places.answer(ipaddress.ip_address("192.0.2.1"))
    assert len(networks(places)) == 0


@pytest.mark.parametrize("record", [25, 39, 0xFFFFFF])
def test_a_record_outside_the_data(record: int, tmp_path: Path) -> None:
    path = write(tmp_path / "a.mmdb", {"192.0.2.0/24": country("DE")}, ip_version=4)
    places = None
    with pytest.raises(PlacesError, match=r"a\.mmdb"):
        places = Places.open([tree(path, (record, 1))])
    assert places is None


@settings(max_examples=100)
@given(st.data(), st.sampled_from([4, 6]), st.sampled_from([24, 28, 32]))
def test_damage_gives_an_answer_or_an_error_in_words(
    data: st.DataObject, ip_version: int, record_size: int
) -> None:
    records = {"192.0.2.0/24": asn(1, "One") | country("DE"), "198.51.100.0/25": asn(2)}
    asked = ("192.0.2.1", "198.51.100.200", "0.0.0.0", "2001:db8::1")
    with tempfile.TemporaryDirectory() as directory:
        path = write(Path(directory) / "a.mmdb", records, ip_version=ip_version, record_size=record_size)
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(1, 5))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        path.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
        with suppress(PlacesError):
            assert len(look_up(Places.open([path]), *asked)) == len(asked)
        with suppress(PlacesError):
            places = Places.open([path])
            assert len([places.answer(ipaddress.ip_address(each)) for each in asked]) == len(asked)
        with suppress(PlacesError):
            assert len(list(networks(Places.open([path])))) < 1000


def test_importing_the_room_loads_neither_kernels_nor_maxminddb() -> None:
    check = "import sys, halfopen.places; assert not {'numba', 'maxminddb'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)
