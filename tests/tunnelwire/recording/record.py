"""Record all scenarios anew, or those that are named, with stock cloudflared in a network of its own: no look-up gets anywhere."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from pathlib import Path

from halfopen.testing.namespaces import MissingError, Namespace
from tests.tunnelwire.recording.cloudflared import Cloudflared, version
from tests.tunnelwire.recording.live import play
from tests.tunnelwire.recording.origin import serving
from tests.tunnelwire.recording.play import Play
from tests.tunnelwire.recording.scenarios import SCENARIOS
from tests.tunnelwire.recording.turns import path, write

_LATER = 0.1  # s for what comes behind the last thing that is waited for


async def record(name: str, transport: str, program: str) -> int:
    """Record one; gives the size of the file."""
    scenario = SCENARIOS[name]

    async def script(made: Play) -> None:
        async with serving(made.happened):
            await scenario.play(made)
            await asyncio.sleep(_LATER)

    with tempfile.TemporaryDirectory() as folder:
        connector = Cloudflared(program, *scenario.options)
        made = await play(
            script, transport, connector, Path(folder) / "edge", scenario.preface, scenario.datagrams
        )
    kept = path(name, transport)
    write(kept, await version(program), made.turns)
    return kept.stat().st_size


def main() -> None:
    """Record what is named, or all."""
    program = os.environ.get("HALFOPEN_CLOUDFLARED") or shutil.which("cloudflared")
    if program is None:
        sys.exit("missing: cloudflared (HALFOPEN_CLOUDFLARED)")
    try:
        network = Namespace()
        network.run("ip link set lo up")
    except MissingError as error:
        sys.exit(str(error))
    with network.entered():
        for name in sys.argv[1:] or SCENARIOS:
            for transport in SCENARIOS[name].transports:
                size = asyncio.run(record(name, transport, program))
                print(f"{name} over {transport}: {size:,} bytes", flush=True)


if __name__ == "__main__":
    main()
