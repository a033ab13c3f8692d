"""The edge's ends of the streams of a QUIC connection.

A data stream, by what has come::

    state    head          bytes     end           broken off
    head     Answered      -         Broken        Broken
             or Refused
    body     -             Body      End           Broken
    over     -             -         -             -
"""

from __future__ import annotations

from enum import Enum, auto

from halfopen.errors import WireError
from halfopen.tunnelwire.configuration import Applied, NotApplied
from halfopen.tunnelwire.exchange import Answered, Body, Broken, End, Reply, Request
from halfopen.tunnelwire.quic.connect import ConnectResponse, read_answer, write_request
from halfopen.tunnelwire.quic.head import Head, Signature, take_signature, write_head
from halfopen.tunnelwire.rpc.methods import (
    UNREGISTER_UDP_SESSION,
    UPDATE_CONFIGURATION,
    ConfigurationUpdated,
    Nothing,
    UpdateConfiguration,
)
from halfopen.tunnelwire.rpc.vat import Aborted, Called, Failed, Returned, Vat


class _State(Enum):
    HEAD = auto()
    BODY = auto()
    OVER = auto()


class EdgeDataStream:
    """A stream that the edge opens for a request: `opening` is what it begins with, the request's body follows as it is."""

    def __init__(self, request: Request) -> None:
        self.opening = write_head(write_request(request))
        self._kind = request.kind
        self._head = Head(ConnectResponse)
        self._state = _State.HEAD

    def receive(self, piece: bytes, end: bool = False) -> list[Reply]:
        """Take in what the connector sent, the last of it where it is the `end`."""
        replies: list[Reply] = []
        if self._state is _State.HEAD:
            replies, piece = self._on_head(piece)
        if self._state is _State.BODY and piece:
            replies.append(Body(piece))
        if end:
            replies += self._on_end()
        return replies

    def reset(self) -> list[Reply]:
        """The connector has broken off the stream, or the connection is gone."""
        return self._break_off("broken off by the connector")

    def _on_head(self, piece: bytes) -> tuple[list[Reply], bytes]:
        try:
            self._head.receive(piece)
            if self._head.message is None:
                return [], b""
            answer = read_answer(self._head.message, self._kind)
        except WireError as error:
            return self._break_off(str(error)), b""
        self._state = _State.BODY if isinstance(answer, Answered) else _State.OVER
        return [answer], bytes(self._head.stream)

    def _on_end(self) -> list[Reply]:
        if self._state is _State.BODY:
            self._state = _State.OVER
            return [End()]
        return self._break_off("ended without an answer")

    def _break_off(self, reason: str) -> list[Reply]:
        if self._state is _State.OVER:
            return []
        self._state = _State.OVER
        return [Broken(reason)]


class ConfigurationStream:
    """A stream that the edge opens to tell a connector its configuration (JSON). It is good for one."""

    def __init__(self, version: int, config: bytes) -> None:
        self._vat = Vat()
        self._vat.call(UPDATE_CONFIGURATION, UpdateConfiguration(version, config))
        self._outgoing = Signature.RPC.value

    def take_outgoing(self) -> bytes:
        """What is to be sent to the connector."""
        taken = self._outgoing + self._vat.take_outgoing()
        self._outgoing = b""
        return taken

    def receive(self, piece: bytes) -> Applied | NotApplied | None:
        """Take in what the connector sent; gives the answer once, after which the stream can be closed."""
        for event in self._vat.receive(piece):
            match event:
                case Returned(_, _, ConfigurationUpdated(response)):
                    return Applied(response.latest_applied_version, response.err)
                case Failed(_, _, reason) | Aborted(reason):
                    return NotApplied(reason)
        return None


class EdgeCallStream:
    """A stream that the connector opens to call the edge: it tells that a flow of UDP has ended, which is acknowledged."""

    def __init__(self) -> None:
        self._vat = Vat([UNREGISTER_UDP_SESSION])
        self._stream = bytearray()
        self._signed = False

    def take_outgoing(self) -> bytes:
        """What is to be sent to the connector."""
        return self._vat.take_outgoing()

    def receive(self, piece: bytes) -> None:
        """Take in what the connector sent; raises WireError where the stream is of another kind, and is to be reset."""
        self._stream += piece
        if not self._signed:
            signature = take_signature(self._stream)
            if signature is Signature.DATA:
                raise WireError("a connector that opens a stream for data")
            self._signed = signature is Signature.RPC
        if self._signed:
            for event in self._vat.receive(bytes(self._stream)):
                if isinstance(event, Called):
                    self._vat.answer(event.question, Nothing())
            self._stream.clear()
