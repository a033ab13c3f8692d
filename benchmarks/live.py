"""The live sensor's source on a virtual wire: packets a second without a drop, and what reading costs, beside tcpdump.

One process sends the frames of a capture, another reads: the ring alone, the ring with the flow table behind it, or
`tcpdump -w /dev/null`, which judges nothing. tcpdump takes expressions and no programs, so its filter is the same one in its own words,
with a plainer hash. What the filter itself costs is on the account of the sender, for both.
"""

from __future__ import annotations

import ctypes
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from report import Report

if TYPE_CHECKING:
    from halfopen.testing.namespaces import Namespace

PORTS: Final = (80, 443)
SHARES: Final = (1, 16, 1000)
PACED: Final = 300_000
RING: Final = "halfopen, ring alone"
OURS: Final = "halfopen, ring and flow table"
TCPDUMP: Final = "tcpdump -w /dev/null"
OF_A_CORE: Final = 0.03


@dataclass(frozen=True, slots=True)
class Taken:
    """One run of one reader."""

    rate: float  # packets sent a second
    cpu: float  # s of the reader for a million packets sent
    core: float  # of one core, for as long as packets were sent
    received: int  # packets that the filter let through
    dropped: int


def live(trace: Path, packets: int, rounds: int, quick: bool, report: Report) -> None:
    """Measure at full speed for each share of a sample, and at a steady rate for the smallest."""
    from halfopen.testing.namespaces import MissingError

    tcpdump = shutil.which("tcpdump")
    try:
        namespace = wire()
    except MissingError as missing:
        report.say(f"- left out: {missing}")
        return
    if not tcpdump:
        report.say("- left out, not installed: tcpdump")
    readers = [RING, OURS, TCPDUMP] if tcpdump else [RING, OURS]
    cases = [(share, 0) for share in SHARES] + [(SHARES[-1], PACED)]
    found: dict[str, list[Taken]] = {}
    with namespace.entered():
        for _ in range(1 if quick else rounds):
            for share, pace in cases:
                for reader in readers:
                    name = f"1/{share}{f', {pace:,} packets/s' if pace else ''}: {reader}"
                    found.setdefault(name, []).append(_run(reader, share, pace, trace, packets))
    namespace.close()
    rows, medians = [], {}
    for name, runs in found.items():
        taken = medians[name] = _median(runs)
        rows.append(
            (name, f"{taken.rate / 1e3:,.0f}", f"{taken.received:,}", f"{taken.dropped:,}", f"{taken.cpu:.3f}", f"{taken.core:.1%}")
        )  # fmt: skip
    report.say(f"{packets:,} packets over a veth pair, {len(runs)} rounds:")
    report.table(("sample: reader", "kpkt/s sent", "kept", "dropped", "CPU s/Mpkt sent", "of a core"), rows)
    whole = medians[f"1/1: {OURS}"]
    report.target("packets dropped at 1/1", "0", f"{whole.dropped:,}", whole.dropped == 0)
    if tcpdump:
        for reader in (RING, OURS):
            ratio = medians[f"1/1: {reader}"].cpu / medians[f"1/1: {TCPDUMP}"].cpu
            report.target(f"CPU at 1/1 beside tcpdump: {reader}", "<= 1 x", f"{ratio:.2f} x", ratio <= 1)
    paced = medians[f"1/{SHARES[-1]}, {PACED:,} packets/s: {OURS}"]
    report.target(
        f"1/{SHARES[-1]} of {PACED:,} packets/s",
        f"< {OF_A_CORE:.0%} of a core",
        f"{paced.core:.2%} (of {paced.rate:,.0f})",
        paced.core < OF_A_CORE,
    )
    report.data["live"] = {name: asdict(taken) for name, taken in medians.items()}


def wire() -> Namespace:
    """A namespace with a virtual wire, near0 to far0, that carries; MissingError where it cannot be made."""
    from halfopen.testing.namespaces import Namespace

    made = Namespace()
    pair = "ip link add near0 mtu 9000 type veth peer name far0 mtu 9000"
    made.run(pair, "ip link set near0 up", "ip link set far0 up")
    time.sleep(1)
    return made


def _median(runs: list[Taken]) -> Taken:
    """The medians, and of what was dropped the worst."""
    return Taken(
        median(run.rate for run in runs),
        median(run.cpu for run in runs),
        median(run.core for run in runs),
        int(median(run.received for run in runs)),
        max(run.dropped for run in runs),
    )


def _run(reader: str, share: int, pace: int, trace: Path, packets: int) -> Taken:
    """Start the reader, send everything once, end the reader."""
    if reader != TCPDUMP:
        command = [sys.executable, __file__, "watch" if reader == OURS else "read", str(share)]
    else:
        command = [
            "tcpdump",
            "-i",
            "far0",
            "-n",
            "-s",
            "4238",
            "-B",
            "65536",
            "-w",
            "/dev/null",
            _expression(share),
        ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    while "listening" not in process.stderr.readline():
        assert process.poll() is None, command
    begun = cpu_of(process.pid)
    sent = subprocess.run(
        [sys.executable, __file__, "send", str(trace), str(pace)], check=True, capture_output=True, text=True
    )
    seconds = float(sent.stdout)
    time.sleep(0.5)
    cpu = cpu_of(process.pid) - begun
    process.send_signal(signal.SIGINT)
    received, dropped = _losses(process.communicate(timeout=60)[1])
    return Taken(packets / seconds, cpu / packets * 1e6, cpu / seconds, received, dropped)


def cpu_of(process: int) -> float:
    """Seconds of CPU of a process so far, to the nanosecond (schedstat) rather than in ticks."""
    return sum(
        int(task.read_text().split()[0]) for task in Path(f"/proc/{process}/task").glob("*/schedstat")
    ) / 1e9  # fmt: skip


def _losses(said: str) -> tuple[int, int]:
    """Packets that the filter let through and those dropped, in the words of tcpdump."""
    counts = re.findall(r"(\d+) packets? (received by filter|dropped by kernel)", said)
    by_words = {words: int(count) for count, words in counts}
    return by_words["received by filter"], by_words["dropped by kernel"]


def _expression(share: int) -> str:
    """Our filter in the language of tcpdump."""

    def sampled(address: str, port: str) -> str:
        if share == 1:
            return ""
        return f" and ((ip[{address}:4] ^ tcp[{port}:2]) * 2654435761) < {(1 << 32) // share}"

    to_server = " or ".join(f"dst port {port}" for port in PORTS)
    of_server = " or ".join(f"src port {port}" for port in PORTS)
    ends = "tcp[13] & 7 != 0"
    return f"tcp and ((({to_server}){sampled('12', '0')}) or (({of_server}) and {ends}{sampled('16', '2')}))"


def watch(share: int, *, judging: bool) -> None:
    """Read far0, into a flow table or not, until SIGINT."""
    from halfopen.capture.live.devices import Devices
    from halfopen.capture.live.packet_socket import PacketSocket
    from halfopen.capture.live.ring import Ring
    from halfopen.connections.tracker import Limits, Tracker
    from halfopen.sampling import one_in

    sampling, ports = one_in(share), frozenset(PORTS)
    source = Ring(PacketSocket(), Devices(), "far0")
    tracker = Tracker(Limits(server_ports=ports), source.counters, sampling=sampling)
    for _ in tracker.turn(time.time_ns()):  # compiles, the first time
        pass
    running = True

    def end(*_: object) -> None:
        nonlocal running
        running = False

    signal.signal(signal.SIGINT, end)
    source.watch(ports, sampling)
    print("listening", file=sys.stderr, flush=True)
    while running:
        select.select([source], [], [], 0.25)
        for batch in source.batches():
            for _ in tracker.feed(batch) if judging else ():
                pass
        for _ in tracker.turn(time.time_ns()) if judging else ():
            pass
    losses = source.losses()
    print(
        f"{losses.received} packets received by filter\n{losses.dropped} packets dropped by kernel",
        file=sys.stderr,
    )


class Part(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("at", ctypes.c_void_p), ("length", ctypes.c_size_t))


class Message(ctypes.Structure):
    """struct mmsghdr of sendmmsg(2)."""

    _fields_ = (
        ("name", ctypes.c_void_p), ("name_length", ctypes.c_uint), ("parts", ctypes.c_void_p), ("count", ctypes.c_size_t),
        ("control", ctypes.c_void_p), ("control_length", ctypes.c_size_t), ("flags", ctypes.c_int), ("sent", ctypes.c_uint),
    )  # fmt: skip


def send(trace: Path, pace: int) -> None:
    """Send the frames of a capture by near0, so many a second (0: as fast as it goes); print how many seconds it took."""
    data = bytearray(trace.read_bytes())
    memory = ctypes.addressof(ctypes.c_char.from_buffer(data))
    frames = []
    at = 24
    while at < len(data):
        length = int.from_bytes(data[at + 8 : at + 12], "little")
        frames.append(Part(memory + at + 16, length))
        at += 16 + length
    parts = (Part * len(frames))(*frames)
    messages = (Message * len(frames))()
    for number, message in enumerate(messages):
        message.parts = ctypes.addressof(parts) + number * ctypes.sizeof(Part)
        message.count = 1
    libc = ctypes.CDLL(None, use_errno=True)
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
        sender.bind(("near0", 0))
        begun = time.perf_counter()
        sent = 0
        while sent < len(frames):
            here = ctypes.byref(messages, sent * ctypes.sizeof(Message))
            done = libc.sendmmsg(sender.fileno(), here, min(256, len(frames) - sent), 0)
            if done < 0:
                raise OSError(ctypes.get_errno(), "sendmmsg")
            sent += done
            if pace and (early := begun + sent / pace - time.perf_counter()) > 0:
                time.sleep(early)
        print(time.perf_counter() - begun)


if __name__ == "__main__":
    if sys.argv[1] == "send":
        send(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        watch(int(sys.argv[2]), judging=sys.argv[1] == "watch")
