"""A plugin of pytest for the SDK's own tests: before each there is the tunnel they ask for, with its connector, and no other.

They make tunnels of one name and delete one tunnel again and again, as if nothing they did was ever done.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import delete

from halfopen.config import ACCOUNTS_URL
from halfopen.database.database import Database
from halfopen.tunnels.installation import Installation
from halfopen.tunnels.registrations import Registered, Registration
from halfopen.tunnels.schema import TUNNELS
from halfopen.tunnels.vault import RunToken, new_secret

DATA: Final = "SEEDED"
"""The environment variable that names the server's data directory."""

ACCOUNT: Final = "699d98642c564d2e855e9661899b7252"
OF_CONFIGURATIONS: Final = "023e105f4ecef8ad9ca31a8372d0c353"
TUNNEL: Final = "f70ff985-a4ef-4643-bbbc-4a0ed4fc8415"
CONNECTOR: Final = "1bedc50d-42b3-473c-b108-ff3d10c0d925"


class Seed:
    """The server's database, which is the same before each test."""

    def __init__(self, data: Path, url: str | None) -> None:
        self._database = Database.open(data, url)
        self._here = Installation(data, url)
        for account in (ACCOUNT, OF_CONFIGURATIONS):
            self._here.accounts.create_account(f"Account {account[:4]}", account)
        self._edge = self._here.edges.enrol("edge-1", "ams01").id

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Make it so."""
        with self._database.writing() as connection:
            connection.execute(delete(TUNNELS))
        # Their configurations have the same tunnel in another account.
        account = OF_CONFIGURATIONS if item.path.name == "test_configurations.py" else ACCOUNT
        token = RunToken(account, TUNNEL, new_secret())
        self._here.tunnels.adopt(token, "seeded")
        session = self._here.registry.begin(self._edge)
        asked = Registration(
            account,
            TUNNEL,
            token.secret,
            CONNECTOR,
            0,
            "2026.8.2",
            "linux_amd64",
            ("ha-origin",),
            "192.0.2.1",
        )
        (told,) = self._here.registry.register(session, [asked])
        assert isinstance(told, Registered)
        # Pending: nobody is there to close it, so a clean-up would wait for its 5 s.
        self._here.registry.unregister(session, [told.connection], lost=True)


def pytest_configure(config: pytest.Config) -> None:
    """Begin to seed."""
    config.pluginmanager.register(Seed(Path(os.environ[DATA]), os.environ.get(ACCOUNTS_URL) or None))
