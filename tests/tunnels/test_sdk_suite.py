"""The official SDK's own tests of tunnels, run against a server: all but those that ask for what is wrong."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import Require
from tests.databases.database import Database
from tests.house.project import ROOT
from tests.sdk_suite import EMAIL, KEY, every_way, failures
from tests.serving import running
from tests.tunnels import seed

FILES = (
    "zero_trust/test_tunnels.py",
    "zero_trust/tunnels/test_cloudflared.py",
    "zero_trust/tunnels/cloudflared",
)

WRONG = {
    # A configuration without any rule, or whose only rule has a hostname and a path: cloudflared would not run with it.
    "1056": every_way(
        "Configurations",
        "method_update",
        "method_update_with_all_params",
        "raw_response_update",
        "streaming_response_update",
    ),
    # The tunnel has the connector that others of these tests ask for.
    "1022": every_way("Cloudflared", "method_delete", "raw_response_delete", "streaming_response_delete"),
}


def test_the_sdks_own_tests_pass(database: Database, tmp_path: Path, require: Require) -> None:
    with database.accounts() as accounts:
        accounts.create_key(EMAIL, KEY)
    environment = {
        "PYTHONPATH": f"{ROOT / 'src'}:{Path(seed.__file__).parent}",
        seed.DATA: str(database.data),
    }
    with running(database.data, environment=database.environment) as url:
        found = failures(
            f"{url}/client/v4", tmp_path / "report.xml", require, *FILES, options=("-p", "seed"),
            environment=environment,
        )  # fmt: skip
    assert len(found) == 290
    failed = {name: words for name, words in found.items() if words is not None}
    assert failed.keys() == set().union(*WRONG.values()), failed
    for code, names in WRONG.items():
        assert all(f"'code': {code}" in failed[name] for name in names)
