"""A connection of h2 that carries many streams at once."""

from __future__ import annotations

from typing import Final

from h2.connection import AllowedStreamIDs, H2Connection
from h2.stream import H2Stream

_CLOSED: Final = 16  # streams that may wait to be cleared up


class BusyConnection(H2Connection):
    """Counts its open streams when it must: h2 looks at every stream for each that begins.

    As many as it knows may be open, those that have ended among them; unless that is twice as many as were, or too many, it suffices.
    """

    _enough = 0

    def _open_streams(self, remainder: int) -> int:
        if remainder == 0:
            return 0  # nobody pushes
        settings = self.remote_settings if self.config.client_side else self.local_settings
        known = len(self.streams)
        if known <= self._enough and known < settings.max_concurrent_streams:
            return known
        count = super()._open_streams(remainder)
        self._enough = 2 * count + _CLOSED
        return count

    def _begin_new_stream(self, stream_id: int, allowed_ids: AllowedStreamIDs) -> H2Stream:
        """A stream whose body may be longer or shorter than its headers say, for which h2 would end the connection: who serves it looks."""
        stream = super()._begin_new_stream(stream_id, allowed_ids)
        if not self.config.client_side:
            stream._initialize_content_length = _leave_it  # type: ignore[method-assign, assignment]
        return stream


def _leave_it(_: object) -> None:
    return None
