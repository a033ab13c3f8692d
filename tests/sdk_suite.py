"""The official Python SDK's own tests, from its source distribution, run against a server of ours."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from tests.conftest import Require
from tests.house.project import ROOT

SDK: Final = ROOT / ".tools" / f"cloudflare-{version('cloudflare')}"

# What the SDK's conftest.py sends.
EMAIL: Final = "user@example.com"
KEY: Final = "144c9defac04969c7bfad8efaa8ea194"

CLIENTS: Final = (("Test", ("loose", "strict")), ("TestAsync", ("loose", "strict", "aiohttp")))


def every_way(subject: str, *methods: str) -> set[str]:
    """The names of tests of a class, as every client runs them."""
    return {
        f"{kind}{subject}.test_{method}[{client}]"
        for kind, clients in CLIENTS
        for method in methods
        for client in clients
    }


def failures(
    api: str, report: Path, require: Require, *files: str, options: tuple[str, ...] = (),
    environment: Mapping[str, str] | None = None,
) -> dict[str, str | None]:  # fmt: skip
    """Each test of some files, or folders of them, below tests/api_resources, with what it failed with; none is skipped."""
    require(SDK.is_dir(), f"{SDK} (make clients)")
    # Without ours in the path: `tests` is to be the SDK's.
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ran = subprocess.run(
        [
            sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-o", "addopts=", f"--junitxml={report}", *options,
            *(f"tests/api_resources/{file}" for file in files),
        ],
        cwd=SDK, env=plain | {"TEST_API_BASE_URL": api} | dict(environment or {}),
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert ran.returncode in (0, 1), ran.stdout + ran.stderr
    found: dict[str, str | None] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{case.attrib['classname'].rpartition('.')[2]}.{case.attrib['name']}"
        assert name not in found, name
        assert case.find("skipped") is None, name
        found[name] = next((each.attrib["message"] for each in case), None)
    return found
