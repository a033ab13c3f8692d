"""What a connector and the edge agree on, whatever carries it: the control stream, from arrival until the connector leaves."""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Protocol

import msgspec

from halfopen.edge.connectors.arrivals import Arrivals
from halfopen.edge.holdings import Holding, Holdings, Link
from halfopen.edge.seldom import SELDOM
from halfopen.tunnels.registrations import Refused, Registration
from halfopen.tunnelwire.configuration import NotApplied
from halfopen.tunnelwire.rpc.edge_control import (
    ControlEvent,
    EdgeControl,
    LocalConfiguration,
    RegistrationAsked,
    RegistrationImpossible,
    RegistrationWithdrawn,
    Unregistered,
)
from halfopen.tunnelwire.rpc.vat import Aborted

LOG: Final = logging.getLogger("halfopen.edge")

REFUSED: Final = 1.0
"""Seconds between a refusal and the end of the connection."""

DRAINING: Final = 30.0
"""Seconds for which requests may go on when the connector has said that it leaves."""

CONFIGURED: Final = 15.0
"""Seconds for which a connector may take to apply a configuration."""

SILENT: Final = NotApplied(f"no answer within {CONFIGURED:g} s")
BUSY: Final = NotApplied("the connection takes no more")

_LOCAL: Final = 100  # configurations that a connector may tell of one connection


class Carrier(Link, Protocol):
    """A connection that carries the session."""

    @property
    def peer(self) -> str:
        """The connector's address."""
        ...

    def say(self, data: bytes) -> None:
        """Send bytes of the control stream."""
        ...

    def end(self, reason: str) -> None:
        """Send what is to be sent, and close the connection."""
        ...


class Session:
    """One connector's connection to the edge, as both see it."""

    def __init__(self, holdings: Holdings, arrivals: Arrivals, carrier: Carrier) -> None:
        """A session that begins with the connection: who connects is to register within a while."""
        self._holdings, self._arrivals, self._carrier = holdings, arrivals, carrier
        self._loop = asyncio.get_running_loop()
        self._control = EdgeControl()
        self._holding: Holding | None = None
        self._words = ""  # which connection it is, once it is registered
        self._registering: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._leaves = self._over = False
        self.registered = False
        """Whether a connector has, ever."""
        self._told = 0  # configurations
        arrivals.come(carrier)

    def receive(self, piece: bytes) -> None:
        """Bytes of the control stream."""
        for event in self._control.receive(piece):
            self._on(event)
        self._answer()

    def emptied(self) -> None:
        """No request is under way any more: who waited for that to leave may go."""
        if self._leaves:
            self._carrier.end("it has left")

    def cleaned_up(self) -> None:
        """Somebody cleans up: the connection is closed at once."""
        self._leaves = True
        self._carrier.end("cleaned up")

    def over(self) -> None:
        """The connection is gone, whoever ended it."""
        if self._over:
            return
        self._over = True
        self._arrivals.gone(self._carrier)
        if self._timer is not None:
            self._timer.cancel()
        if self._registering is not None:
            self._registering.cancel()
        self._let_go(lost=not self._leaves)

    def _on(self, event: ControlEvent) -> None:
        peer = self._carrier.peer
        match event:
            case RegistrationAsked(wish=wish):
                asked = Registration(
                    wish.account, wish.tunnel, wish.secret, wish.connector, wish.conn_index, wish.version, wish.arch,
                    wish.features, peer,
                )  # fmt: skip
                self._registering = self._loop.create_task(self._register(asked))
            case LocalConfiguration(config=config):
                self._on_configuration(config)
            case Unregistered():
                self._leaves = True
                self._let_go(lost=False)
                self._end_in(DRAINING if self._carrier.load else 0, "it has left")
            case RegistrationImpossible(reason=reason):
                SELDOM.tell(logging.INFO, peer, f"a registration from {peer} cannot be one: {reason}")
                self._end_in(REFUSED, "refused")
            case Aborted() if self._leaves:
                pass  # it says nothing more here, and answers what it was asked
            case RegistrationWithdrawn() | Aborted():
                self._end_in(0, "withdrawn")

    async def _register(self, asked: Registration) -> None:
        answer, holding = await self._holdings.register(asked, self._carrier)
        if isinstance(answer, Refused):
            SELDOM.tell(
                logging.INFO,
                f"{self._carrier.peer} {answer.cause}",
                f"a connector of tunnel {asked.tunnel} at {self._carrier.peer} is refused: {answer.cause}",
            )
            self._control.refused(answer.cause)
            self._answer()
            # cloudflared would wait for ever; at once it would take the end for the answer, and give up.
            self._end_in(REFUSED, "refused")
            return
        self._holding = holding
        self.registered = True
        self._words = (
            f"connection {asked.conn_index} of connector {asked.connector} of tunnel {asked.tunnel} over {self._carrier.transport} "
            f"from {self._carrier.peer}"
        )
        LOG.info("%s is registered", self._words)
        self._arrivals.gone(self._carrier)
        self._control.registered(answer.connection, self._holdings.colo, answer.remotely_managed)
        self._answer()

    def _on_configuration(self, config: bytes) -> None:
        self._told += 1
        if self._told > _LOCAL:
            self._end_in(0, "it tells configurations for ever")
            return
        try:
            told = msgspec.json.decode(config)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            told = None
        if isinstance(told, dict) and self._holding is not None:
            self._holdings.reported(self._holding, told)

    def _answer(self) -> None:
        if answer := self._control.take_outgoing():
            self._carrier.say(answer)

    def _let_go(self, lost: bool) -> None:
        if self._holding is not None:
            self._holdings.left(self._holding, lost)
            self._holding = None
            LOG.info("%s %s", self._words, "is lost" if lost else "has left")

    def _end_in(self, seconds: float, reason: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self._carrier.end, reason)
