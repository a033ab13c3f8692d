"""The places files beside a dataset: opened when they are first asked, and again when they have changed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Final

from halfopen.errors import PlacesError
from halfopen.places import Places
from halfopen.places.lookup import files_of
from halfopen.places.networks import Networks, networks
from halfopen.places.records import Answer

_FAULTS: Final = logging.getLogger("halfopen.faults")


class Atlas:
    """What places files say, one state of them after the other. Safe to share among threads.

    While files cannot be read, the state before stays in use, and the log says so once.
    """

    def __init__(self, sources: Sequence[Path | str]) -> None:
        """Of files, and directories of them, as `Places.open` takes them; none: nothing is known."""
        self._sources = [Path(source) for source in sources]
        self._lock = threading.Lock()
        self._version = ""
        self._state = _State(Places([]))

    @property
    def version(self) -> str:
        """Changes with every change of the files; one look at each of them."""
        try:
            facts = [(path, path.stat()) for source in self._sources for path in files_of(source)]
        except (OSError, PlacesError):
            return self._version
        return repr([(str(path), fact.st_ino, fact.st_mtime_ns, fact.st_size) for path, fact in facts])

    def answer(self, address: IPv4Address | IPv6Address) -> Answer:
        """What the files say about an address; PlacesError where a damaged part is met."""
        return self._current().places.answer(address)

    def networks(self) -> Networks:
        """The networks that the files know; the first to ask waits for the walk through the files."""
        return self._current().networks()

    def _current(self) -> _State:
        version = self.version
        with self._lock:
            if version != self._version:
                self._version = version
                try:
                    self._state = _State(Places.open(self._sources))
                except PlacesError as error:
                    _FAULTS.error("places: %s", error)
            return self._state


class _State:
    """The files as they were when they were opened."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self._lock = threading.Lock()
        self._networks: Networks | None = None

    def networks(self) -> Networks:
        with self._lock:
            if self._networks is None:
                self._networks = self._walk()
            return self._networks

    def _walk(self) -> Networks:
        try:
            # By themselves: all that the walk remembers goes with them.
            return networks(Places.open([source.path for source in self.places.sources]))
        except PlacesError as error:
            _FAULTS.error("places: networks have no names: %s", error)
            return networks(Places([]))
