"""A flood of SYNs from everywhere against a whole sensor: its memory, its sample and what it costs, for ten minutes.

Sensor, spool and dataset are as a user runs them (`halfopen sense`); the SYNs come over a virtual wire, each of another client.
"""

from __future__ import annotations

import ctypes
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np
from live import Message, Part, cpu_of, wire
from report import Report, mib

A_SECOND: Final = 100_000
SECONDS: Final = 600
QUICK: Final = 30
SETTLED: Final = 0.2
"""Share of the time after which memory must have come to what it stays at."""

FLAT: Final = 1.05
TOGETHER: Final = 256


def flood(quick: bool, report: Report) -> None:
    """Flood a sensor, and look at its memory once a second."""
    from halfopen.testing.namespaces import MissingError

    seconds = QUICK if quick else SECONDS
    try:
        namespace = wire()
    except MissingError as missing:
        report.say(f"- left out: {missing}")
        return
    with namespace.entered(), tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        log = (Path(folder) / "log").open("w+")
        sensor = subprocess.Popen(
            [sys.executable, "-m", "halfopen", "sense", "-i", "far0", "--server-port", "443", "--name", "flooded",
             "--data", str(data)],
            stderr=log,
        )  # fmt: skip
        while "sample:" not in (Path(folder) / "log").read_text():
            time.sleep(0.2)
        sender = subprocess.Popen([sys.executable, __file__, str(seconds)], stdout=subprocess.PIPE, text=True)
        sizes, begun = [], cpu_of(sensor.pid)
        while sender.poll() is None:
            sizes.append(resident(sensor.pid))
            time.sleep(1)
        cpu = cpu_of(sensor.pid) - begun
        sent = int(sender.communicate()[0])
        sensor.send_signal(signal.SIGUSR1)
        time.sleep(1)
        sensor.send_signal(signal.SIGTERM)
        sensor.wait()
        told = (Path(folder) / "log").read_text()
    settled = max(sizes[: max(1, int(len(sizes) * SETTLED))])
    last = max(sizes[int(len(sizes) * SETTLED) :])
    smallest = min((line for line in told.splitlines() if "sample:" in line), key=_share)
    report.say(
        f"{sent:,} SYNs of as many clients in {seconds:,} s: resident {mib(sizes[0])} MiB at the start, {mib(settled)} MiB after "
        f"{seconds * SETTLED:.0f} s, {mib(last)} MiB at most from then on; {cpu / seconds * 100:.1f} % of a core; "
        f"{smallest.split(': ', 2)[-1]} at the smallest"
    )
    report.target(
        "memory through a flood", f"{FLAT:.2f} x", f"{last / settled:.2f} x", last <= FLAT * settled
    )


def _share(line: str) -> float:
    last = line.rsplit(" ", 1)[-1].replace(",", "")
    return -float(last) if last.replace(".", "").isdigit() else -1.0


def resident(process: int) -> int:
    """Bytes of memory of a process that is there now."""
    with suppress(OSError):
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * 4096
    return 0


def send(seconds: int) -> int:
    """Send SYNs by near0 for so long, each of another client; gives how many."""
    chance = np.random.default_rng(1)
    frame = bytes.fromhex("020000000002 020000000001 0800") + bytes.fromhex(
        "4500 003c 0000 4000 4006 0000 00000000 cb007181 0000 01bb 00000000 00000000 a002 faf0 0000 0000"
        "020405b4 0402 080a 00000001 00000000 01 030307"
    )
    frames = np.tile(np.frombuffer(frame, np.uint8), (TOGETHER, 1))
    parts = (Part * TOGETHER)(
        *(Part(frames.ctypes.data + n * len(frame), len(frame)) for n in range(TOGETHER))
    )
    messages = (Message * TOGETHER)()
    for number, message in enumerate(messages):
        message.parts = ctypes.addressof(parts) + number * ctypes.sizeof(Part)
        message.count = 1
    libc = ctypes.CDLL(None, use_errno=True)
    sent = 0
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
        sender.bind(("near0", 0))
        begun = time.perf_counter()
        while (passed := time.perf_counter() - begun) < seconds:
            frames[:, 26:30] = chance.integers(0, 256, (TOGETHER, 4))
            frames[:, 34:36] = chance.integers(0, 256, (TOGETHER, 2))
            frames[:, 38:42] = chance.integers(0, 256, (TOGETHER, 4))
            done = libc.sendmmsg(sender.fileno(), messages, TOGETHER, 0)
            if done < 0:
                raise OSError(ctypes.get_errno(), "sendmmsg")
            sent += done
            if (early := sent / A_SECOND - passed) > 0:
                time.sleep(early)
    return sent


if __name__ == "__main__":
    print(send(int(sys.argv[1])))
