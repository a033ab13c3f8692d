"""The live demo: hosts in network namespaces, a middlebox that cuts connections, a sensor that watches the server, and what
the official Python SDK is told by the API, beside the truth.

`make demo-live` runs it, as root or in a user namespace. Nothing leaves the machine.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from cloudflare import Cloudflare

from halfopen.model import STAGES
from halfopen.testing.middlebox import FATES
from halfopen.testing.mix import mix
from halfopen.testing.namespaces import MissingError
from halfopen.testing.testbed import TestBed
from halfopen.testing.watched import URL, Watched

CONNECTIONS: Final = 3000
SILENCE: Final = 11
"""Seconds until the last connections have been silent for long enough to be told."""


def main() -> int:
    """Run the demo."""
    count = int(os.environ.get("CONNECTIONS", CONNECTIONS))
    with TemporaryDirectory(prefix="halfopen-demo-") as folder:
        try:
            return play(Path(folder) / "data", count)
        except MissingError as error:
            print(f"demo-live: {error}", file=sys.stderr)
            return 1


def play(data: Path, count: int) -> int:
    """Play so many connections, and compare."""
    print("A client, a middlebox and a server, each a network of its own:")
    with TestBed() as bed, mix(bed) as connections, Watched(bed, data) as watched:
        watched.serve()
        print("  server$ halfopen serve")
        watched.sense()
        print("  server$ halfopen sense -i up0 --to http://127.0.0.1:8787 --token-file ...")
        begun = time.monotonic()
        connections.play(count)
        print(
            f"{count:,} connections in {time.monotonic() - begun:.0f} s, cut in {len(FATES) - 1} ways; now {SILENCE} s of silence ..."
        )
        time.sleep(SILENCE)
        watched.stop_sensing()
        window = watched.window()
        with bed.server.entered():
            client = Cloudflare(base_url=f"{URL}/client/v4", api_token=watched.token)
            answer = client.radar.tcp_resets_timeouts.summary(
                date_start=[window["dateStart"]],
                date_end=[window["dateEnd"]],
            ).summary_0
        right = table(connections.stages, answer.to_dict())
        signatures = watched.ask("summary/signature", normalization="RAW_VALUES", limitPerGroup="20")[
            "summary_0"
        ]
        print(
            f"\nSignatures: {', '.join(f'{name} {float(number):.0f}' for name, number in signatures.items())}"
        )
    print("\nAll as it was." if right else "\nThis is NOT how it was.")
    return 0 if right else 1


def table(truth: dict[str, int], answer: dict[str, object]) -> bool:
    """Print the shares beside the truth; whether they are the same."""
    whole = sum(truth.values())
    print("\nStage          Connections    Truth    client.radar.tcp_resets_timeouts.summary()")
    same = True
    for stage in STAGES:
        count = truth[stage.name]
        share, told = 100 * count / whole, float(str(answer[stage.name]))
        same &= abs(share - told) < 1e-5
        print(f"{stage.name:14} {count:11,} {share:8.4f}    {told:8.4f}")
    return same


if __name__ == "__main__":
    if shutil.which("ip") is None or shutil.which("nft") is None:
        print("demo-live needs the commands ip and nft (apt install iproute2 nftables)", file=sys.stderr)
        sys.exit(1)
    sys.exit(main())
