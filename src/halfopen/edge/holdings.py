"""The connections an edge holds, and what the registry and the edge tell each other of them.

Nothing depends on a message that arrives: what a heartbeat says is held is what counts, and its answer names what is to be closed.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from itertools import chain, islice, repeat
from typing import Any, Final, Protocol

from halfopen.edge.exchange import Exchange, Stream
from halfopen.edge.metrics import EdgeMetrics, Route
from halfopen.edge.registry import AWAY, AwayError, Registry
from halfopen.edge.seldom import SELDOM
from halfopen.tunnels.desk import Pushed
from halfopen.tunnels.registrations import Refused, Registered, Registration
from halfopen.tunnels.registry import HEARTBEAT
from halfopen.tunnelwire.configuration import Applied, NotApplied
from halfopen.tunnelwire.exchange import Request

LOG: Final = logging.getLogger("halfopen.edge")

_AT_ONCE: Final = 500  # registrations, tunnels or hostnames of one question
_GATHER: Final = 0.05  # s: routing and configurations are asked for once for all that came meanwhile
_PAUSES: Final = (
    1.0,
    2.0,
    4.0,
    8.0,
    10.0,
)  # s between questions to a registry that is away; the last again and again
_PAUSE: Final = 1.0  # s between two reports of a connection
_LONGEST_PAUSE: Final = 60.0  # s between two tries to hand on a configuration
TELL: Final = 10.0
"""Seconds between two reports of what has passed."""

_LONGEST_TELL: Final = 300.0  # s: where they are not heard
_DECIDED: Final = 0.9  # s within which a registration is answered: cloudflared may end for want of an answer
_REPORTS: Final = 2  # under way at once


class Link(Protocol):
    """One connection of a connector, whatever it is carried by."""

    @property
    def transport(self) -> str:
        """What carries it: ``http2`` or ``quic``."""
        ...

    @property
    def load(self) -> int:
        """How many requests are under way."""
        ...

    def open(self, request: Request, exchange: Exchange) -> Stream | None:
        """Ask the connector; None where it takes no more requests."""
        ...

    def close(self) -> None:
        """Close it."""
        ...

    async def push(self, version: int, config: Mapping[str, Any]) -> Applied | NotApplied:
        """Hand a configuration to the connector; gives what became of it."""
        ...


class Holding:
    """A connection that is registered: its id, whose it is, the configuration it is to have, and what it says of its own."""

    def __init__(self, id_: str, tunnel: str, link: Link) -> None:
        self.id, self.tunnel, self.link = id_, tunnel, link
        self.wanted: Pushed | None = None
        self.pushing = self.reporting = False
        self.told: dict[str, Any] = {}  # what is to be reported


class Holdings:
    """All of them. Of one event loop; `run` is to run for as long as they are used."""

    def __init__(self, registry: Registry, metrics: EdgeMetrics) -> None:
        self._registry, self._metrics = registry, metrics
        self._held: dict[str, Holding] = {}
        self._of_tunnel: defaultdict[str, list[Holding]] = defaultdict(list)
        self._asking: list[tuple[Registration, asyncio.Future[Registered | Refused]]] = []
        self._leaving: dict[bool, set[str]] = {False: set(), True: set()}  # by whether they are lost
        self._arrived, self._departed = asyncio.Event(), asyncio.Event()
        self._reports = asyncio.Semaphore(_REPORTS)
        self._behind = asyncio.Event()  # whether routing or configurations are to be asked for
        self._routing = self._newest = -1  # the number gone by, and the one that news told
        self._hostnames: dict[str, str] = {}
        self._fresh: set[str] = set()  # tunnels with connections that were handed no configuration yet
        self._tasks: set[asyncio.Task[None]] = set()
        self._away = False  # whether the log has it that the registry is
        self.colo = ""

    # --- what transports say

    async def register(self, asked: Registration, link: Link) -> tuple[Registered | Refused, Holding | None]:
        """Ask whether a connection may be; where it may, it is held from now on."""
        answer = await self._decided(asked)
        self._metrics.registered(link.transport, answer)
        if isinstance(answer, Refused):
            return answer, None
        holding = Holding(answer.connection, asked.tunnel, link)
        self._held[holding.id] = holding
        self._of_tunnel[holding.tunnel].append(holding)
        if answer.remotely_managed:
            self._fresh.add(holding.tunnel)
            self._behind.set()
        return answer, holding

    def left(self, holding: Holding, lost: bool) -> None:
        """A connection is gone: closed or left in order, or `lost` without a word."""
        if self._held.pop(holding.id, None) is not None:
            self._metrics.left(holding.link.transport, lost)
            self._of_tunnel[holding.tunnel].remove(holding)
            if not self._of_tunnel[holding.tunnel]:
                del self._of_tunnel[holding.tunnel]
            self._leaving[lost].add(holding.id)
            self._departed.set()

    def reported(self, holding: Holding, configuration: dict[str, Any]) -> None:
        """What a connector says its own configuration is."""
        self._report(holding, configuration=configuration)

    # --- what visitors ask

    def route(self, hostname: str) -> Route | None:
        """Where a hostname (lower case) leads: by its own name, else by the nearest ``*.`` above it."""
        name = hostname
        while (tunnel := self._hostnames.get(name)) is None and "." in hostname:
            hostname = hostname.partition(".")[2]
            name = f"*.{hostname}"
        return None if tunnel is None else Route(name, tunnel)

    def links(self, tunnel: str) -> list[Holding]:
        """The connections of a tunnel that this edge holds."""
        return list(self._of_tunnel.get(tunnel, ()))

    # --- what goes on all the time

    async def begin(self) -> None:
        """Begin: what the last process of this edge held is lost from now on."""
        self.colo = await self._patiently(self._registry.begin)
        self._metrics.traffic.begin()

    async def run(self) -> None:
        """Having begun, speak with the registry until cancelled. OverError where this may not speak for the edge any more."""
        everything = (self._register, self._depart, self._beat, self._hear, self._route, self._tell)
        tasks = [asyncio.create_task(each()) for each in everything]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def leave(self) -> None:
        """Say what has passed to the end, and that nothing is held any more: the edge ends."""
        await self._told()
        for holding in list(self._held.values()):
            self.left(holding, lost=False)
        await self._departures()

    async def _beat(self) -> None:
        while True:
            for identifier in await self._patiently(lambda: self._registry.heartbeat(list(self._held))):
                self._close(identifier)
            await asyncio.sleep(HEARTBEAT)

    async def _hear(self) -> None:
        while True:
            news = await self._patiently(lambda: self._registry.news(self._newest))
            for identifier in news.close:
                self._close(identifier)
            if news.routing != self._newest:
                self._newest = news.routing
                self._behind.set()

    async def _tell(self) -> None:
        pause = TELL
        while True:
            await asyncio.sleep(pause)
            pause = TELL if await self._told() else min(2 * pause, _LONGEST_TELL)

    async def _told(self) -> bool:
        """Tell what has passed; whether the registry has heard it. One that is older than this edge never does."""
        traffic = self._metrics.traffic
        passed, within = traffic.untold()
        for first in range(0, len(passed), _AT_ONCE):
            some = passed[first : first + _AT_ONCE]
            try:
                await self._registry.traffic(some, within)
            except AwayError:
                return False
            traffic.told(some)
        traffic.all_told()
        return True

    async def _decided(self, asked: Registration) -> Registered | Refused:
        if fault := asked.fault():
            return Refused(fault)
        told: asyncio.Future[Registered | Refused] = asyncio.get_running_loop().create_future()
        self._asking.append((asked, told))
        self._arrived.set()
        try:
            async with asyncio.timeout(_DECIDED):
                return await told
        except TimeoutError:
            return Refused(AWAY)

    async def _register(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._asking:
                await self._registrations()

    async def _registrations(self) -> None:
        some, self._asking = self._asking[:_AT_ONCE], self._asking[_AT_ONCE:]
        taken = [each for each in some if not each[1].done()]  # who asked may be gone
        if not taken:
            return
        try:
            told: list[Registered | Refused] = await self._registry.register([each for each, _ in taken])
        except AwayError as error:
            self._missed(error)
            told = [Refused(AWAY)] * len(taken)
        for (_, waiting), answer in zip(taken, told, strict=True):
            if not waiting.done():  # else the next heartbeat tells
                waiting.set_result(answer)

    async def _depart(self) -> None:
        while True:
            await self._departed.wait()
            self._departed.clear()
            await self._departures()

    async def _departures(self) -> None:
        for lost, ids in self._leaving.items():
            if ids:
                gone = frozenset(ids)
                ids.clear()
                try:
                    await self._registry.depart(gone, lost)
                except AwayError as error:
                    self._missed(error)  # the next heartbeat tells it, or the end of the lease

    async def _route(self) -> None:
        while True:
            await self._behind.wait()
            await asyncio.sleep(_GATHER)
            self._behind.clear()
            if self._routing != self._newest:
                found = await self._patiently(lambda: self._registry.routing(self._routing))
                self._routing = found.routing
                self._lead(found.hostnames, found.complete)
                self._hand_on(found.configurations)
            while self._fresh:
                some = set(islice(self._fresh, _AT_ONCE))
                self._fresh -= some
                self._hand_on(await self._patiently(partial(self._registry.configurations, some)))

    def _lead(self, hostnames: Mapping[str, str | None], complete: bool) -> None:
        if complete:
            self._hostnames.clear()
        for name, tunnel in hostnames.items():
            if tunnel is None:
                self._hostnames.pop(name, None)
            else:
                self._hostnames[name] = tunnel

    def _hand_on(self, configurations: Mapping[str, Pushed]) -> None:
        for tunnel, pushed in configurations.items():
            for holding in self._of_tunnel.get(tunnel, ()):
                if holding.wanted is None or holding.wanted.version < pushed.version:
                    holding.wanted = pushed
                    if not holding.pushing:
                        holding.pushing = True
                        self._start(self._push(holding, pushed))

    async def _push(self, holding: Holding, pushed: Pushed) -> None:
        """Until the connector has said what it makes of the newest configuration, or is gone."""
        pause = _PAUSE
        while holding.id in self._held:
            outcome = await holding.link.push(pushed.version, pushed.config)
            if isinstance(outcome, NotApplied):
                self._warn(
                    holding, f"did not get version {pushed.version} of its configuration: {outcome.reason}"
                )
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                if outcome.error:
                    self._warn(
                        holding,
                        f"does not take version {pushed.version} of its configuration: {outcome.error}",
                    )
                if outcome.version >= 0:
                    self._report(holding, applied=outcome.version)
                if holding.wanted is pushed:
                    break
            assert holding.wanted is not None
            pushed = holding.wanted
        holding.pushing = False

    def _report(self, holding: Holding, **what: Any) -> None:
        holding.told |= what
        if not holding.reporting:
            holding.reporting = True
            self._start(self._reported(holding))

    async def _reported(self, holding: Holding) -> None:
        """What a connector says, the newest of it, no more than once in a while, and until the registry has heard it."""
        while holding.told and holding.id in self._held:
            told, holding.told = holding.told, {}
            try:
                async with self._reports:
                    await self._registry.report(holding.id, **told)
            except AwayError:
                holding.told = told | holding.told
            await asyncio.sleep(_PAUSE)
        holding.reporting = False

    def _warn(self, holding: Holding, words: str) -> None:
        SELDOM.tell(
            logging.WARNING,
            f"configuration {holding.tunnel}",
            f"a connector of tunnel {holding.tunnel} {words}",
        )

    def _close(self, identifier: str) -> None:
        if (holding := self._held.get(identifier)) is not None:
            holding.link.close()
            self.left(holding, lost=False)
        else:
            self._leaving[False].add(identifier)  # closed before it was told: the registry may forget it
            self._departed.set()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:  # a connector's own matter
            SELDOM.tell(logging.ERROR, "task", f"what a connector is or says is lost: {error!r}")

    async def _patiently(self, ask: Callable[[], Awaitable[Any]]) -> Any:
        """The answer of the registry, asked again for as long as it is away."""
        for pause in chain(_PAUSES, repeat(_PAUSES[-1])):
            away = self._away
            try:
                found = await ask()
            except AwayError as error:
                self._missed(error)
                await asyncio.sleep(pause)
            else:
                if away and self._away:  # asked since, so that it is no late answer from before
                    LOG.warning("the registry is back")
                    self._away = False
                return found

    def _missed(self, error: AwayError) -> None:
        """Say once for all who ask that the registry is away."""
        if not self._away:
            LOG.warning("the registry is away, registrations are refused: %s", error)
        self._away = True
