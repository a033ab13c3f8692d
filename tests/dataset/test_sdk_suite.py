"""The official SDK's own tests of this dataset, run against the running server: all but those that no server can pass."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

from halfopen.accounts import Accounts
from tests.conftest import Require
from tests.dataset.conftest import Installation
from tests.house.project import ROOT

SDK = ROOT / ".tools" / f"cloudflare-{version('cloudflare')}"
FILE = "tests/api_resources/radar/test_tcp_resets_timeouts.py"

# What the SDK's conftest.py sends.
EMAIL, KEY = "user@example.com", "144c9defac04969c7bfad8efaa8ea194"

# They name the series main_series and want it as summary_0 or serie_0, ask for an AS, a country and a continent called
# "string", for dateRange together with dateStart and dateEnd, and for a window that ends where it begins.
WRONG = {
    f"{kind}.test_method_{method}_with_all_params[{client}]"
    for kind, clients in (
        ("TestTCPResetsTimeouts", ("loose", "strict")),
        ("TestAsyncTCPResetsTimeouts", ("loose", "strict", "aiohttp")),
    )
    for method in ("summary", "timeseries_groups")
    for client in clients
}


def test_the_sdks_own_tests_pass(installation: Installation, tmp_path: Path, require: Require) -> None:
    require(SDK.is_dir(), f"{SDK} (make clients)")
    with closing(Accounts.open(installation.data)) as accounts:
        accounts.create_key(EMAIL, KEY)
    report = tmp_path / "report.xml"
    options = ("-p", "no:cacheprovider", "-o", "addopts=", f"--junitxml={report}")
    # Without ours in the path: `tests` is to be the SDK's.
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", *options, FILE],
        cwd=SDK, env=plain | {"TEST_API_BASE_URL": installation.api}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    outcomes = {
        f"{case.attrib['classname'].rpartition('.')[2]}.{case.attrib['name']}": {each.tag for each in case}
        for case in ElementTree.parse(report).iter("testcase")
    }
    assert len(outcomes) == 40, ran.stdout
    assert {name for name, outcome in outcomes.items() if outcome} == WRONG, ran.stdout
    assert not any("skipped" in outcome for outcome in outcomes.values())
