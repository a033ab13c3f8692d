"""The hash of the sample: one in plain Python, one in kernels, and what a sample is worth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from halfopen.errors import UsageError
from halfopen.jit import kernel
from halfopen.sampling import WHOLE, Sampling, one_in, sample_hash

WORDS = st.integers(0, 2**32 - 1)
HALVES = st.integers(0, 2**64 - 1)


@kernel(np.uint64, np.uint64)
def by_kernel(given_: Any, key: Any) -> Any:
    return sample_hash(key[0], key[1], given_[0], given_[1], given_[2])


@given(WORDS, WORDS, HALVES, HALVES, st.integers(0, 65535))
def test_kernels_and_python_agree(key_0: int, key_1: int, high: int, low: int, port: int) -> None:
    sampling = Sampling((key_0, key_1))
    given_ = np.array([high, low, port], np.uint64)
    assert by_kernel(given_, np.array([key_0, key_1], np.uint64)) == sampling.hash(high, low, port)


@pytest.mark.parametrize("many", [2, 16, 1000])
def test_one_in_so_many_are_taken(many: int) -> None:
    """Of ports and of addresses, each in a row, which a poor hash would take in clumps."""
    sampling = one_in(many)
    size = 40_000
    ports = sum(sampling.takes(0, 0xFFFF_C000_0201, port) for port in range(size))
    addresses = sum(sampling.takes(0x20010DB8 << 32, low, 443) for low in range(size))
    spread = (size * (1 - 1 / many) / many) ** 0.5
    for taken in (ports, addresses):
        assert abs(taken - size / many) < 6 * spread


def test_half_of_a_sample_is_in_it() -> None:
    whole = one_in(4)
    half = Sampling(whole.key, whole.threshold // 2)
    taken = [port for port in range(65536) if half.takes(0, 1, port)]
    assert taken
    assert all(whole.takes(0, 1, port) for port in taken)


def test_another_key_takes_others() -> None:
    first, second = ({port for port in range(65536) if one_in(8).takes(0, 1, port)} for _ in range(2))
    assert len(first & second) < len(first) / 4


def test_thresholds_out_of_range() -> None:
    for many in (0, 0.5, WHOLE + 1):
        with pytest.raises(UsageError, match="sampling"):
            one_in(many)
    with pytest.raises(UsageError, match="sampling threshold: 0"):
        Sampling(threshold=0)
