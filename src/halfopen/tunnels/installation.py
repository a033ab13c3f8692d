"""Everything of tunnels that stands on one database, put together for a server or a command."""

from __future__ import annotations

from pathlib import Path

from halfopen.accounts import Accounts
from halfopen.config import key_file
from halfopen.database.changes import Changes
from halfopen.database.database import Database
from halfopen.tunnels.catalogue import Tunnels
from halfopen.tunnels.configurations import Configurations
from halfopen.tunnels.desk import Desk
from halfopen.tunnels.edges import Edges
from halfopen.tunnels.hostnames import Hostnames
from halfopen.tunnels.registry import GRACE, Registry
from halfopen.tunnels.traffic import Traffic
from halfopen.tunnels.vault import Vault


class Installation:
    """Accounts, tunnels and edges of a data directory, or of the PostgreSQL database at `url`. `grace` (s) is how long a connection that
    broke off is pending."""

    def __init__(self, data: Path, url: str | None = None, grace: int = GRACE) -> None:
        self._database = Database.open(data, url)
        self.accounts = Accounts(self._database)
        self.vault = Vault(key_file(data))
        self._changes = Changes(self._database)
        self.registry = Registry(self._database, self._changes, self.vault, grace)
        self.tunnels = Tunnels(self._database, self._changes, self.vault, self.registry)
        self.configurations = Configurations(self._database)
        self.hostnames = Hostnames(self._database)
        self.desk = Desk(self.registry, self.configurations, self.hostnames)
        self.edges = Edges(self._database)
        self.traffic = Traffic(self._database)

    def close(self) -> None:
        """Close the database, and let go who waits for its news."""
        self.registry.close()
        self._changes.close()
        self._database.close()
