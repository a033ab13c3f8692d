"""The official SDK's own tests of this dataset, run against the running server: all but those that no server can pass."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from halfopen.accounts import Accounts
from tests.conftest import Require
from tests.dataset.conftest import Installation
from tests.sdk_suite import EMAIL, KEY, every_way, failures

# They name the series main_series and want it as summary_0 or serie_0, ask for an AS, a country and a continent called
# "string", for dateRange together with dateStart and dateEnd, and for a window that ends where it begins.
WRONG = every_way(
    "TCPResetsTimeouts", "method_summary_with_all_params", "method_timeseries_groups_with_all_params"
)


def test_the_sdks_own_tests_pass(installation: Installation, tmp_path: Path, require: Require) -> None:
    with closing(Accounts.open(installation.data)) as accounts:
        accounts.create_key(EMAIL, KEY)
    found = failures(installation.api, tmp_path / "report.xml", require, "radar/test_tcp_resets_timeouts.py")
    assert len(found) == 40
    assert {name for name, failed in found.items() if failed} == WRONG, found
