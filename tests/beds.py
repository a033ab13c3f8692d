"""The test bed, where the machine lets it be made."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from halfopen.testing.namespaces import MissingError
from halfopen.testing.testbed import TestBed


@contextmanager
def bed_of(require: Callable[[bool, str], None]) -> Iterator[TestBed]:
    """A test bed; skips, or fails where all is required, if what it needs is missing."""
    require(bool(shutil.which("ip") and shutil.which("nft")), "iproute2 and nftables")
    with ExitStack() as stack:
        try:
            made = stack.enter_context(TestBed())
        except MissingError as missing:
            require(False, str(missing))
        yield made
