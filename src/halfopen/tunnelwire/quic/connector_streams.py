"""The connector's ends of the streams of a QUIC connection. Which of them a stream is, `take_signature` tells."""

from __future__ import annotations

from halfopen.errors import WireError
from halfopen.tunnelwire.configuration import ConfigurationSent
from halfopen.tunnelwire.exchange import Answered, Body, Broken, End, Kind, Refused, Request
from halfopen.tunnelwire.quic.connect import ConnectRequest, read_request, write_answer
from halfopen.tunnelwire.quic.head import Head, write_head
from halfopen.tunnelwire.rpc.methods import (
    REGISTER_UDP_SESSION,
    UNREGISTER_UDP_SESSION,
    UPDATE_CONFIGURATION,
    ConfigurationUpdated,
    Nothing,
    RegisterUdpSessionResponse,
    UdpSessionRegistered,
    UpdateConfiguration,
    UpdateConfigurationResponse,
)
from halfopen.tunnelwire.rpc.vat import Called, Vat


class ConnectorDataStream:
    """A data stream behind its signature: a request comes in, its body follows; the answer's body is sent as it is."""

    def __init__(self) -> None:
        self._head: Head[ConnectRequest] | None = Head(ConnectRequest, signed=True)
        self._kind = Kind.HTTP
        self._reading = True  # the body

    def receive(self, piece: bytes, end: bool = False) -> list[Request | Refused | Body | End | Broken]:
        """Take in what the edge sent, the last of it where it is the `end`; raises WireError where no message can be read.

        What cannot be a request is Refused, and to be answered so. A body that the request does not tell of is dropped.
        """
        events: list[Request | Refused | Body | End | Broken] = []
        if self._head:
            self._head.receive(piece)
            if self._head.message is None:
                return [Broken("ended without a request")] if end else []
            message, piece = self._head.message, bytes(self._head.stream)
            self._head = None
            try:
                request = read_request(message)
            except WireError as error:
                self._reading = False
                return [Refused(str(error))]
            self._kind = request.kind
            events.append(request)
            if not request.body:
                self._reading = False
                events.append(End())
        if not self._reading:
            return events
        if piece:
            events.append(Body(piece))
        if end:
            events.append(End())
        return events

    def answer(self, answer: Answered | Refused) -> bytes:
        """What is to be sent: the answer, behind which its body follows."""
        return write_head(write_answer(answer, self._kind))


class ConnectorCallStream:
    """A stream on which the edge calls, behind its signature. Flows of UDP are not known here."""

    def __init__(self, limit: int = 1 << 20) -> None:
        self._vat = Vat([UPDATE_CONFIGURATION, REGISTER_UDP_SESSION, UNREGISTER_UDP_SESSION], limit)
        self._question = 0

    def take_outgoing(self) -> bytes:
        """What is to be sent to the edge."""
        return self._vat.take_outgoing()

    def receive(self, piece: bytes) -> list[ConfigurationSent]:
        """Take in what the edge sent."""
        sent = []
        for event in self._vat.receive(piece):
            if not isinstance(event, Called):
                continue
            match event.params:
                case UpdateConfiguration(version, config):
                    self._question = event.question
                    sent.append(ConfigurationSent(version, config))
                case _ if event.method is REGISTER_UDP_SESSION:
                    response = RegisterUdpSessionResponse("UDP is not known here")
                    self._vat.answer(event.question, UdpSessionRegistered(response))
                case _:
                    self._vat.answer(event.question, Nothing())
        return sent

    def applied(self, version: int, error: str = "") -> None:
        """Answer which version the connector is configured with now, and what was wrong with the one that was sent."""
        response = UpdateConfigurationResponse(version, error)
        self._vat.answer(self._question, ConfigurationUpdated(response))
