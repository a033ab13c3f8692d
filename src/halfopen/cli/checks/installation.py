"""What an installation keeps beside its dataset: the directory, accounts, certificates, tunnels."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from halfopen.cli import edge
from halfopen.cli.checks.finding import Examined, Finding, Level
from halfopen.cli.sense import SPOOLS
from halfopen.cli.text import counted
from halfopen.config import accounts_url, key_file, owner_of
from halfopen.database.database import FILE

_SOON: Final = timedelta(days=14)

_SHOWN: Final = 5
"""Tunnels that are named."""


def directory(examined: Examined) -> Iterator[Finding]:
    """Who may look into the data directory."""
    yield _alone("data directory", examined.data, 0o700)
    ours = os.geteuid()
    foreign = [(path, uid) for path in _written(examined) if (uid := path.lstat().st_uid) != ours]
    if foreign:
        path, uid = foreign[0]
        more = f", and {len(foreign) - 1:,} more are not either" if len(foreign) > 1 else ""
        words = f"{path} is not of {owner_of(ours)} but of {owner_of(uid)}{more}: server and sensor cannot go on with it"
        roots = " ".join(dict.fromkeys((str(examined.data), *_local(examined.store))))
        yield Finding(
            Level.problem, "data directory", words,
            f"sudo chown -R {owner_of(ours)} {roots}; from then on use it as {owner_of(ours)} only",
        )  # fmt: skip


def _written(examined: Examined) -> Iterator[Path]:
    """What server and sensor write to."""
    yield from examined.data.glob(f"{FILE}*")
    for root in (examined.data / SPOOLS, *map(Path, _local(examined.store))):
        for folder, _, files in os.walk(root):
            yield Path(folder)
            yield from (Path(folder) / each for each in files)


def _local(store: str) -> list[str]:
    return [] if "://" in store else [store]


def accounts(examined: Examined) -> Iterator[Finding]:
    """Whether the database opens and is up to date, and whether anybody may do everything."""
    from halfopen.accounts import Accounts
    from halfopen.accounts.permissions import ADMIN
    from halfopen.database.metadata import REVISION

    if (found := _revision(examined)) is None:
        yield Finding(Level.note, "accounts", "none yet", "`halfopen up` makes them")
        return
    if found != REVISION:
        yield Finding(
            Level.note, "accounts", f"their tables are those of another version ({found}, not {REVISION})",
            "a server of this version brings older ones up to date as it starts",
        )  # fmt: skip
        return
    with closing(Accounts.open(examined.data, accounts_url())) as opened:
        count = len(opened.every_account())
        now = datetime.now(UTC)
        good = [each for each in opened.list_tokens() if each.state(now) == "active"]
    words = f"they open, up to date: {counted(count, 'account')}, {counted(len(good), 'token')} in use"
    if any(ADMIN in each.permissions for each in good):
        yield Finding(Level.ok, "accounts", words)
    else:
        yield Finding(
            Level.note, "accounts", f"{words}, none of them an administrator's",
            "`halfopen token create --permission admin` makes one, to sign in with",
        )  # fmt: skip


def certificates(examined: Examined) -> Iterator[Finding]:
    """What connectors trust the edge by, and what visitors are shown."""
    from cryptography import x509

    from halfopen.edge.trust import AUTHORITY, NAMES, Trust
    from halfopen.edge.visitors.certificates import Certificates

    trust = Trust(examined.data / edge.FOLDER)
    if not (trust.folder / AUTHORITY).exists():
        yield Finding(Level.note, "certificates", "none for the edge yet", "the edge makes them as it starts")
    else:
        authority = x509.load_pem_x509_certificate(trust.authority().encode())
        yield _lasting("the authority that connectors trust", authority.not_valid_after_utc)
        ends = trust.ends()
        if ends is None:
            yield Finding(Level.note, "certificates", "the edge has none yet", "it makes one as it starts")
        else:
            yield _lasting(f"that of the edge, for {', '.join(NAMES)},", ends)
    if examined.serve.certificates is not None:
        for names, ends in Certificates(examined.serve.certificates).pairs():
            yield _lasting(f"for visitors, of {', '.join(sorted(names)) or 'no name'},", ends)


def tunnels(examined: Examined) -> Iterator[Finding]:
    """Which tunnels are down, whose connections are pending, and whether their secrets can be opened."""
    from halfopen.database.metadata import REVISION
    from halfopen.tunnels.catalogue import Filter
    from halfopen.tunnels.installation import Installation
    from halfopen.tunnels.records import Status

    if _revision(examined) != REVISION:
        return  # what `accounts` says
    with closing(Installation(examined.data, accounts_url())) as here:
        every = [
            (account.id, each)
            for account in here.accounts.every_account()
            for each in here.tunnels.find(account.id, Filter(), 1, 1000)[0]
        ]
        if every:
            account, first = every[0]
            here.tunnels.token(account, first.id)  # opens a secret
    key = key_file(examined.data)
    if every:
        yield _alone("tunnels", key, 0o600)
    alive = [each for _, each in every if each.status is Status.healthy]
    yield Finding(Level.ok, "tunnels", f"{len(every):,} in all, {len(alive):,} healthy")
    for _, each in [pair for pair in every if pair[1].status is Status.down][:_SHOWN]:
        yield Finding(
            Level.note, "tunnels", f"{each.name} is down: nothing is connected",
            f"start its connector, with the token that `halfopen tunnel token {each.name}` prints",
        )  # fmt: skip
    for _, each in every:
        if pending := sum(link.lost is not None for link in each.links):
            yield Finding(
                Level.note,
                "tunnels",
                f"{each.name}: {counted(pending, 'connection')} broke off and may come back",
            )


def _revision(examined: Examined) -> str | None:
    """The version of the tables. To open them would make them, or bring them up to date below a server that runs."""
    from halfopen.database.database import Database

    return Database.revision(examined.data, accounts_url())


def _lasting(what: str, ends: datetime) -> Finding:
    left = ends - datetime.now(UTC)
    words = f"{what} {'ended' if left < timedelta() else 'is good until'} {ends:%Y-%m-%d}"
    if left > _SOON:
        return Finding(Level.ok, "certificates", words)
    level = Level.problem if left < timedelta() else Level.note
    return Finding(
        level,
        "certificates",
        words,
        "an edge that runs renews its own; those for visitors are yours to renew",
    )


def _alone(about: str, path: Path, wanted: int) -> Finding:
    """Whether nobody else may use a file."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        words = f"others may look into {path} (mode {mode:04o})"
        return Finding(Level.problem, about, words, f"chmod {wanted:o} {path}")
    return Finding(Level.ok, about, f"{path}, for nobody else")
