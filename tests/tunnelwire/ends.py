"""Both ends of an HTTP/2 connection in conversation, and an edge before a peer that h2 plays."""

from __future__ import annotations

from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection

from halfopen.tunnelwire.exchange import Answered, End, Kind, Request
from halfopen.tunnelwire.http2.blocks import PlainEncoder
from halfopen.tunnelwire.http2.connector import Asked, ConnectorConnection, ControlOpened
from halfopen.tunnelwire.http2.edge import EdgeConnection, EdgeEvent
from halfopen.tunnelwire.http2.events import Lost, Room

GET = Request(Kind.HTTP, b"app.example", path=b"/a?b", headers=((b"accept", b"*/*"),))
POST = Request(Kind.HTTP, b"app.example", b"POST", headers=((b"content-type", b"text/plain"),), body=True)
OK = Answered(200, ((b"Content-Type", b"text/plain"), (b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2")))


def received(edge: EdgeConnection, data: bytes) -> list[EdgeEvent]:
    """What an edge tells of bytes, however many turns they take."""
    events = edge.receive(data, now=0)
    while edge.behind:
        events += edge.receive(b"", now=0)
    return events


class Ends:
    """Both ends, and what they told. Room is told often, and left out."""

    def __init__(self) -> None:
        self.edge = EdgeConnection(now=0)
        self.connector = ConnectorConnection(now=0)
        assert ControlOpened() in self.to_connector()
        assert self.to_edge() == []
        self.to_connector()

    def to_connector(self) -> list[Any]:
        return self._told(self.connector.receive(self.edge.take_outgoing(), now=0))

    def to_edge(self) -> list[Any]:
        return self._told(received(self.edge, self.connector.take_outgoing()))

    def _told(self, events: list[Any]) -> list[Any]:
        return [event for event in events if not isinstance(event, Room)]

    def asked(self, request: Request) -> int:
        stream = self.edge.ask(request)
        ended = [] if request.body else [Asked(stream, End())]
        assert self.to_connector() == [Asked(stream, request), *ended]
        return stream


class Peer:
    """An HTTP/2 server without manners."""

    def __init__(self) -> None:
        self.edge = EdgeConnection(now=0)
        config = H2Configuration(
            client_side=False, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self.h2 = H2Connection(config)
        self.h2.encoder = PlainEncoder()  # hpack's own is slow with long values
        self.h2.initiate_connection()
        self.events()

    def events(self) -> list[Any]:
        self.h2.receive_data(self.edge.take_outgoing())
        events = received(self.edge, self.h2.data_to_send())
        if not any(isinstance(event, Lost) for event in events):
            self.h2.receive_data(self.edge.take_outgoing())
        return [event for event in events if not isinstance(event, Room)]

    def answered(self, *headers: tuple[str, str]) -> list[Any]:
        stream = self.edge.ask(GET)
        self.events()
        self.h2.send_headers(stream, [(":status", "200"), *headers])
        return self.events()
