"""Settings that do not belong to one room: where an installation keeps what it knows."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from halfopen.errors import UsageError

ACCOUNTS_URL: Final = "HALFOPEN_ACCOUNTS_URL"
"""Environment variable: a database for users and tokens instead of SQLite in the data directory. Not an
argument, because it holds a password and arguments can be seen by everybody on the machine."""

KEY_FILE: Final = "HALFOPEN_KEY_FILE"
"""Environment variable: the file with the key of tunnels' secrets, where several machines share a database."""

EDGE_KEY: Final = "HALFOPEN_EDGE_KEY"
"""Environment variable: the key of an edge that reports to a server elsewhere."""


def default_data() -> Path:
    """The data directory of this user: ``$XDG_DATA_HOME/halfopen``, else ``~/.local/share/halfopen``."""
    home = os.environ.get("XDG_DATA_HOME", "")
    # The XDG specification: a relative path is to be ignored.
    base = Path(home) if Path(home).is_absolute() else Path.home() / ".local" / "share"
    return base / "halfopen"


def data_path(given: str | Path | None = None) -> Path:
    """Where the data directory lies that was asked for, else this user's."""
    return Path(given).absolute() if given is not None else default_data()


def data_directory(given: str | Path | None = None) -> Path:
    """The directory at `data_path`, to be written to; made with mode 0700 where it does not exist.

    Raises UsageError where it cannot be made or is no directory, and as `must_own`.
    """
    path = data_path(given)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise UsageError("--data", path, f"a directory that can be made ({error.strerror})") from None
    must_own("--data", path)
    return path


def must_own(option: str, path: Path) -> None:
    """UsageError where root would write into somebody else's directory: its owner could not use what root made there."""
    uid = path.stat().st_uid
    if uid and os.geteuid() == 0:
        owner = owner_of(uid)
        accepted = f"a directory of root, or this command as its owner: sudo -u {owner} halfopen ... (up and sense: --user {owner})"
        raise UsageError(option, f"{path}, which belongs to {owner},", accepted)


def owner_of(uid: int) -> str:
    """The name of a user, for a person or `sudo -u`; of one without a name, what stands for it there."""
    import pwd  # Unix only

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"'#{uid}'"


def accounts_url() -> str | None:
    """The database of the accounts that the environment names, None: SQLite in the data directory."""
    return os.environ.get(ACCOUNTS_URL) or None


def key_file(data: Path) -> Path:
    """The file with the key of tunnels' secrets: beside the data directory, so that a copy of that alone tells none."""
    given = os.environ.get(KEY_FILE)
    return Path(given) if given else data.with_name(f"{data.name}.key")
