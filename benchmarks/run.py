"""Speed and memory of `halfopen classify`, `ingest` and `serve`, beside other programs in the same run: `make bench`.

Whole processes, one run apart to warm caches, then each once per round (A B C A B C), medians. The
tables go to standard output; docs/benchmarks.md says what each number means.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from compileall import compile_dir
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from measure import MIB, CommandError, Median, Run, alternate, cores, run
from peers import BIN, FAST, SLOW, Peer, find
from report import Report, mib

HERE: Final = Path(__file__).resolve().parent
OURS: Final = "halfopen classify --summary"
INGEST: Final = "halfopen ingest"
INGEST_WITHIN: Final = 3.0
"""Times the time of `OURS`."""

AGAIN: Final = "DuckDB, the same rows once more"
SECONDS_AFTER_START: Final = 1.0
MEMORY: Final = 250 * MIB
FLAT: Final = 1.15
CORES: Final = 1.8


@dataclass(frozen=True, slots=True)
class Trace:
    """A generated capture and what is in it."""

    path: Path
    packets: int
    connections: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Bench:
    """One session of measurements: where its files lie and how often each command runs."""

    cache: Path
    rounds: int
    quick: bool
    report: Report

    def trace(self, profile: str) -> Trace:
        """The capture of a profile, made when it is asked for the first time."""
        path = self.cache / f"{profile}.pcap"
        counts = path.with_suffix(".json")
        newest = max((HERE / name).stat().st_mtime for name in ("traffic.py", "scripts.py"))
        if not counts.exists() or counts.stat().st_mtime < newest:
            print(f"making {path} ...", file=sys.stderr, flush=True)
            subprocess.run(
                [sys.executable, HERE / "traffic.py", profile, path], check=True, stdout=subprocess.DEVNULL
            )
        return Trace(path, **json.loads(counts.read_text()))

    def places(self) -> Path:
        """A folder with a places file that knows the benchmark's clients."""
        file = self.cache / "places" / "benchmark.mmdb"
        if not file.exists():
            file.parent.mkdir(exist_ok=True)
            subprocess.run([sys.executable, HERE / "networks.py", file], check=True)
        return file.parent

    def ours(self, *files: Path, output: tuple[str, ...] = ("--summary",)) -> list[str]:
        """Our command on some captures, with all of its work."""
        return [str(BIN / "halfopen"), "classify", *map(str, files), *output, "--places", str(self.places())]

    def ingest(self, file: Path, data: Path) -> list[str]:
        """Our command that puts a capture into a new dataset."""
        where = ["--data", str(data), "--places", str(self.places())]
        return [
            *("/bin/sh", "-c", 'rm -rf "$0" && exec "$@"', str(data)),
            *(str(BIN / "halfopen"), "ingest", str(file), *where),
        ]

    def one(self, command: list[str]) -> Median:
        """Medians of one command alone; raises CommandError."""
        results, failures = alternate({"it": command}, self.rounds)
        if failures:
            raise CommandError(failures["it"])
        return results["it"]


def speed(bench: Bench) -> None:
    """Packets per second beside everybody else."""
    report = bench.report
    trace = bench.trace("mixed-tenth" if bench.quick else "mixed")
    report.say(f"{trace.packets:,} packets, {trace.connections:,} connections, {trace.bytes / 1e6:,.0f} MB")
    programs = {peer.name: find(peer, bench.cache) for peer in (*FAST, *SLOW)}
    with tempfile.TemporaryDirectory(dir=bench.cache) as folder:
        commands = {
            "cat > /dev/null": ["cat", str(trace.path)],
            OURS: bench.ours(trace.path),
            "halfopen classify --format ndjson": bench.ours(trace.path, output=("--format", "ndjson")),
        }
        for peer in FAST:
            if program := programs[peer.name]:
                commands[peer.name] = peer.command(program, trace.path, Path(folder))
        taken, failures = alternate(commands, bench.rounds)
        if OURS in failures:
            raise CommandError(failures[OURS])
        rates = {name: trace.packets / result.wall for name, result in taken.items()}
        for peer in SLOW:
            if program := programs[peer.name]:
                try:
                    rates[peer.name], taken[f"{peer.name} ({peer.profile})"] = slow_rate(
                        bench, peer, program, Path(folder)
                    )
                except CommandError as error:
                    failures[peer.name] = str(error)
    rows = []
    for (name, result), rate in zip(taken.items(), rates.values(), strict=True):
        rows.append(
            (
                name,
                f"{result.wall:.3f}",
                f"{result.fastest:.3f}-{result.slowest:.3f}",
                f"{result.cpu:.2f}",
                f"{rate / 1e6:.2f}",
                f"{rates[OURS] / rate:.2f}",
                mib(result.peak),
            )
        )
    report.table(
        ("program", "wall s", "fastest-slowest", "CPU s", "Mpkt/s", "ours beside it", "peak MiB"), rows
    )
    for name, reason in failures.items():
        report.say(f"- failed: {name}: {reason}")
    for peer in (*FAST, *SLOW):
        if programs[peer.name] is None:
            report.say(f"- left out, not installed: {peer.name} ({peer.package})")
        if peer.target and peer.name in rates:
            found = rates[OURS] / rates[peer.name]
            wanted = f">= {peer.target:g} x"
            report.target(f"packets/s beside {peer.name}", wanted, f"{found:.2f} x", found >= peer.target)
    report.data["speed"] = {name: asdict(result) for name, result in taken.items()}
    report.data["packets per second"] = rates


def slow_rate(bench: Bench, peer: Peer, program: str, folder: Path) -> tuple[float, Median]:
    """Packets per second between two small captures, so that start-up is left out; the medians of the larger."""
    large, small = bench.trace(peer.profile), bench.trace("small")
    pair = {trace.path.name: peer.command(program, trace.path, folder) for trace in (large, small)}
    taken, failures = alternate(pair, max(1, bench.rounds // 2))
    for reason in failures.values():
        raise CommandError(reason)
    long, short = taken[large.path.name], taken[small.path.name]
    return (large.packets - small.packets) / (long.wall - short.wall), long


def several_files(bench: Bench) -> None:
    """Four captures over two cores and over one."""
    trace = bench.trace("mixed-tenth" if bench.quick else "mixed")
    with tempfile.TemporaryDirectory(dir=bench.cache) as folder:
        names = [Path(folder) / f"part{number}.pcap" for number in range(4)]
        for name in names:
            name.symlink_to(trace.path)
        one_core: list[Run] = []
        two_cores: list[Run] = []
        for _ in range(bench.rounds):
            for wanted, taken in ((1, one_core), (2, two_cores)):
                with cores(range(wanted)):
                    taken.append(run(bench.ours(*names)))
    one, two = Median.of(one_core), Median.of(two_cores)
    ratio = one.wall / two.wall
    bench.report.say(
        f"Four files of {trace.packets:,} packets: {one.wall:.2f} s on one core, {two.wall:.2f} s on two "
        f"({ratio:.2f} times as fast; {4 * trace.packets / two.wall / 1e6:.1f} Mpkt/s, peak {mib(two.peak)} MiB)."
    )
    bench.report.target("four files, two cores beside one", f">= {CORES} x", f"{ratio:.2f} x", ratio >= CORES)
    bench.report.target(
        "  peak memory there", f"< {mib(MEMORY)} MiB", f"{mib(two.peak)} MiB", two.peak < MEMORY
    )
    bench.report.data["four files"] = {"one core": asdict(one), "two cores": asdict(two)}


def memory(bench: Bench) -> None:
    """Peak memory: the capture, one ten times longer, and one with 20,000 new connections a second."""
    peaks = {}
    rows = []
    profiles = ("small", "mixed-tenth") if bench.quick else ("mixed", "mixed-long", "busy")
    for profile in profiles:
        trace = bench.trace(profile)
        run(["cat", str(trace.path)])
        taken = Median.of([run(bench.ours(trace.path)) for _ in range(max(1, bench.rounds // 2))])
        peaks[profile] = taken.peak
        rows.append(
            (
                profile,
                f"{trace.packets:,}",
                f"{trace.connections:,}",
                f"{trace.bytes / 1e6:,.0f}",
                f"{taken.wall:.2f}",
                f"{trace.packets / taken.wall / 1e6:.2f}",
                mib(taken.peak),
            )
        )
        bench.report.target(
            f"peak memory, {profile}", f"< {mib(MEMORY)} MiB", f"{mib(taken.peak)} MiB", taken.peak < MEMORY
        )
    ratio = peaks[profiles[1]] / peaks[profiles[0]]
    bench.report.table(
        ("capture", "packets", "connections", "MB", "wall s", "Mpkt/s", "peak MiB"),
        rows,
    )
    bench.report.target("peak memory, ten times longer", f"<= {FLAT} x", f"{ratio:.2f} x", ratio <= FLAT)
    bench.report.data["peak memory"] = peaks


def ingestion(bench: Bench) -> None:
    """From a capture to committed tables: time beside judging alone, and memory where it is ten times longer."""
    report = bench.report
    profiles = ("small", "mixed-tenth") if bench.quick else ("mixed", "mixed-long")
    trace, longer = map(bench.trace, profiles)
    flows = next(peer for peer in FAST if peer.name == "nfpcapd")
    with tempfile.TemporaryDirectory(dir=bench.cache) as folder:
        data = Path(folder) / "data"
        commands = {
            OURS: bench.ours(trace.path),
            INGEST: bench.ingest(trace.path, data),
            AGAIN: [sys.executable, str(HERE / "rows_again.py"), str(data)],
        }
        if program := find(flows, bench.cache):
            commands[flows.name] = flows.command(program, trace.path, Path(folder))
        taken, failures = alternate(commands, bench.rounds)
        for reason in failures.values():
            raise CommandError(reason)
        long = run(bench.ingest(longer.path, data))
    report.say(f"{trace.connections:,} connections from {trace.bytes / 1e6:,.0f} MB into the dataset:")
    rows = [
        (
            name,
            f"{t.wall:.3f}",
            f"{t.fastest:.3f}-{t.slowest:.3f}",
            f"{t.cpu:.2f}",
            f"{t.wall / taken[OURS].wall:.2f}",
            mib(t.peak),
        )
        for name, t in taken.items()
    ]
    report.table(("program", "wall s", "fastest-slowest", "CPU s", "x classify", "peak MiB"), rows)
    report.say(f"{longer.connections:,} connections: {long.wall:.1f} s, peak {mib(long.peak)} MiB.")
    found, flat = taken[INGEST].wall / taken[OURS].wall, long.peak / taken[INGEST].peak
    report.target(
        "time of ingest beside classify", f"<= {INGEST_WITHIN:g} x", f"{found:.2f} x", found <= INGEST_WITHIN
    )
    report.target("peak memory of ingest, ten times longer", f"<= {FLAT} x", f"{flat:.2f} x", flat <= FLAT)
    report.data["ingestion"] = {name: asdict(t) for name, t in taken.items()} | {
        longer.path.stem: asdict(long)
    }


def ten_packets(source: Path, path: Path) -> None:
    """The first ten packets of a capture as a capture."""
    data = source.read_bytes()
    end = 24
    for _ in range(10):
        end += 16 + struct.unpack_from("<I", data, end + 8)[0]
    path.write_bytes(data[:end])


def start(bench: Bench) -> None:
    """What a tiny capture costs, with compiled kernels at hand and for the very first time."""
    tiny = bench.cache / "ten-packets.pcap"
    ten_packets(bench.trace("small").path, tiny)
    warm = bench.one(bench.ours(tiny))
    bare = bench.one([sys.executable, "-c", "import numpy"])
    with tempfile.TemporaryDirectory(dir=bench.cache) as empty:
        first = run(bench.ours(tiny), {"NUMBA_CACHE_DIR": empty})
        kept = sum(file.stat().st_size for file in Path(empty).rglob("*") if file.is_file())
    bench.report.say(
        f"Ten packets: {warm.wall:.2f} s (of which Python and NumPy {bare.wall:.2f} s), "
        f"peak {mib(warm.peak)} MiB.",
        f"The first run of all, which compiles: {first.wall:.1f} s ({first.cpu:.1f} s of CPU), peak {mib(first.peak)} MiB; "
        f"it keeps {kept / 1e6:.1f} MB for later runs.",
    )
    wanted = f"< {SECONDS_AFTER_START:g} s"
    bench.report.target(
        "ten packets, warm cache", wanted, f"{warm.wall:.2f} s", warm.wall < SECONDS_AFTER_START
    )
    bench.report.data["start"] = {"warm": asdict(warm), "first": asdict(first), "kept": kept}


def answers(bench: Bench) -> None:
    """What the server answers, and how fast."""
    from answers import answers as measured  # not before: peaks of children are seen from ours on only

    measured(bench.cache, bench.rounds, bench.quick, bench.report)


def pages(bench: Bench) -> None:
    """How long the dashboard's first page takes on the store of a year."""
    from pages import pages as measured

    measured(bench.cache, bench.rounds, bench.report)


def tunnels(bench: Bench) -> None:
    """What the registry of tunnels takes, and how fast the API tells it."""
    from tunnels import tunnels as measured

    measured(bench.cache, bench.quick, bench.report)


def edge(bench: Bench) -> None:
    """What an edge carries, beside a plain proxy and a tunnel of SSH."""
    from edge import edge as measured

    measured(bench.cache, bench.rounds, bench.quick, bench.report)


def live(bench: Bench) -> None:
    """What the live sensor's source takes from a wire, beside tcpdump."""
    from live import live as measured

    trace = bench.trace("mixed-hundredth" if bench.quick else "mixed-tenth")
    measured(trace.path, trace.packets, bench.rounds, bench.quick, bench.report)


def flood(bench: Bench) -> None:
    """What ten minutes of a SYN flood do to a sensor."""
    from flood import flood as measured

    measured(bench.quick, bench.report)


PARTS: Final[dict[str, Callable[[Bench], None]]] = {
    "speed": speed,
    "files": several_files,
    "memory": memory,
    "ingestion": ingestion,
    "start": start,
    "answers": answers,
    "pages": pages,
    "tunnels": tunnels,
    "edge": edge,
    "live": live,
    "flood": flood,
}


def main() -> None:
    """Measure everything, or the parts named, and print the page."""
    parser = argparse.ArgumentParser(description="Speed and memory of halfopen, beside its peers.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (all)")
    parser.add_argument("--rounds", type=int, default=5, help="times that each command runs (5)")
    parser.add_argument("--quick", action="store_true", help="small captures: to try the benchmark itself")
    parser.add_argument(
        "--cache", type=Path, default=HERE / ".cache", help="folder for captures and store (9 GB)"
    )
    parser.add_argument("--json", type=Path, help="write all numbers there, too")
    options = parser.parse_args()
    if unknown := {*options.parts} - {*PARTS}:
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    options.cache.mkdir(parents=True, exist_ok=True)
    compile_dir(HERE.parent / "src", quiet=2)  # as an installed package is
    report = Report()
    bench = Bench(options.cache.resolve(), options.rounds, options.quick, report)
    report.say(
        f"Python {platform.python_version()}, {platform.system()} {platform.release()}, "
        f"{os.cpu_count()} cores, {bench.rounds} rounds"
    )
    floor = run([shutil.which("true") or "/bin/true"]).peak
    report.say(
        f"Peaks below {mib(floor)} MiB cannot be seen: a child begins with the memory of its parent.", ""
    )
    for name in options.parts or PARTS:
        try:
            PARTS[name](bench)
        except CommandError as error:
            report.say("", f"- {name}: {error}", "")
    report.table(
        ("target", "wanted", "found", ""),
        [(what, wanted, found, "met" if met else "MISSED") for what, wanted, found, met in report.targets],
    )
    if options.json:
        options.json.write_text(json.dumps(report.data, indent=2) + "\n")


if __name__ == "__main__":
    main()
