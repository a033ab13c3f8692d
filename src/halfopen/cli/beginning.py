"""What `halfopen up` finds or makes before it starts anything; in a process of its own, so that what that takes is let go of."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from halfopen.cli import edge
from halfopen.config import accounts_url
from halfopen.errors import HalfopenError


@dataclass(frozen=True)
class Beginning:
    """What there is: is it `new`; connections in the dataset, tunnels; a fresh admin token, or that somebody has one; what connectors trust."""

    new: bool
    connections: int
    tunnels: int
    token: str | None
    admin: bool
    authority: Path


def begin(data: Path, store: str, token: bool) -> Beginning:
    """Make what is missing in the data directory: account, authority, dataset; with `token` one for the admin, if nobody has any."""
    from halfopen.accounts.permissions import ADMIN
    from halfopen.edge.trust import AUTHORITY, Trust
    from halfopen.store.schema import CONNECTIONS
    from halfopen.store.store import Store
    from halfopen.tunnels.catalogue import Filter
    from halfopen.tunnels.installation import Installation

    trust = Trust(data / edge.FOLDER)
    new = not trust.folder.exists()
    trust.authority()
    opened = Store(store, create=True)
    try:
        rows = next(each.rows for each in opened.info().tables if each.name == CONNECTIONS.name)
    finally:
        opened.close()
    here = Installation(data, accounts_url())
    try:
        now = datetime.now(UTC)
        known = any(
            ADMIN in each.permissions and each.state(now) == "active" for each in here.accounts.list_tokens()
        )
        made = here.accounts.create_token([ADMIN], name="halfopen up")[0] if token and not known else None
        tunnels = sum(
            here.tunnels.find(account.id, Filter(), 1, 1)[1] for account in here.accounts.every_account()
        )
    finally:
        here.close()
    return Beginning(new, rows, tunnels, made, known or made is not None, trust.folder / AUTHORITY)


def apart(prepare: Callable[[], None], work: Callable[..., Any], *given: Any) -> Any:
    """What `work` gives, in a process of its own that was `prepare`d; HalfopenError with its words where one of both raises one."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    # Forked, because no threads run here, and nothing has to be imported again.
    process = multiprocessing.get_context("fork").Process(target=_answer, args=(theirs, prepare, work, given))
    interrupts = {signal.SIGINT}
    try:
        # Ctrl-C is for who waits for the answer, and not for both.
        signal.pthread_sigmask(signal.SIG_BLOCK, interrupts)
        process.start()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, interrupts)
        theirs.close()
        answer, words = ours.recv()
    except EOFError:
        answer, words = None, "the process that makes what is missing ended without a word"
    except KeyboardInterrupt:
        process.terminate()
        raise
    finally:
        process.join()
    if words:
        raise HalfopenError(words)
    return answer


def _answer(
    to: Connection, prepare: Callable[[], None], work: Callable[..., Any], given: tuple[Any, ...]
) -> None:
    try:
        prepare()
        answer = work(*given), ""
    except HalfopenError as error:
        answer = None, str(error)
    except OSError as error:
        answer = None, f"{error.filename or 'the system'}: {error.strerror or error}"
    to.send(answer)
