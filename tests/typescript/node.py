"""Scripts of the official TypeScript SDK, run by Node against a server of ours."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from tests.conftest import Require

HERE = Path(__file__).parent


def told_by(script: str, base_url: str, token: str, require: Require, given: object = None) -> Any:
    """What a script of this folder hands to its test, asking the server at `base_url` with `token`."""
    node = shutil.which("node")
    require(node is not None, "node")
    require((HERE / "node_modules").is_dir(), f"{HERE}/node_modules (make clients)")
    ran = subprocess.run(
        [str(node), HERE / script, json.dumps(given)],
        env=os.environ | {"CLOUDFLARE_BASE_URL": base_url, "CLOUDFLARE_API_TOKEN": token},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)
