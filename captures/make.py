"""Make the captures of the matrix and the demo, or some of them: python captures/make.py [NAME...].

Real scenes play at once in one test bed (two minutes for all of them, one more for the demo) and
need the right to make network namespaces. Where each capture comes from is written beside it.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import threading
import tomllib
from datetime import UTC, datetime
from pathlib import Path

from halfopen.testing.namespaces import MissingError
from halfopen.testing.pcap import Frame, pcap
from halfopen.testing.play import Play
from halfopen.testing.testbed import TestBed

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from scenes import SCENES, Scene, demo, load  # noqa: E402

CLIENTS = ("192.0.2.", "198.51.100.")


def main() -> int:
    """Make what the arguments ask for; 1 if a scene failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="captures to make (`demo` is one); all if none is named"
    )
    parser.add_argument("--drawn", action="store_true", help="only those written packet by packet")
    parser.add_argument("--out", type=Path, default=HERE, metavar="DIR", help="where to put them")
    arguments = parser.parse_args()
    load()
    unknown = set(arguments.names) - SCENES.keys() - {"demo"}
    if unknown:
        parser.error(f"no scene is called {', '.join(sorted(unknown))}")
    wanted = [s for s in SCENES.values() if not arguments.names or s.name in arguments.names]
    matrix = arguments.out / "matrix"
    matrix.mkdir(parents=True, exist_ok=True)
    made = draw([s for s in wanted if s.drawing], matrix)
    failed: dict[str, Exception] = {}
    if not arguments.drawn:
        try:
            played, failed = play([s for s in wanted if s.script], matrix)
            made |= played
            if not arguments.names or "demo" in arguments.names:
                demo.make(arguments.out / "demo.pcap.gz")
                facts = {"by": "captures/scenes/demo.py", "how": demo.HOW, "kernel": kernel()}
                note({"demo": facts}, arguments.out / "demo.toml")
        except MissingError as error:
            failed = {"the test bed": error}
    note(made, matrix / "made.toml")
    for name, reason in failed.items():
        print(f"{name}: {reason or type(reason).__name__}", file=sys.stderr)
    print(f"{len(made)} captures of the matrix made")
    return 1 if failed else 0


def draw(scenes: list[Scene], out: Path) -> dict[str, dict[str, str]]:
    """Write the synthesised captures; where each comes from."""
    made = {}
    for scene in scenes:
        assert scene.drawing
        write(out, scene, scene.drawing())
        made[scene.name] = {"by": scene.file, "how": scene.how, "kernel": "none"}
    return made


def play(scenes: list[Scene], out: Path) -> tuple[dict[str, dict[str, str]], dict[str, Exception]]:
    """Play the scenes at once and write their captures; where each comes from, and what went wrong."""
    made: dict[str, dict[str, str]] = {}
    failed: dict[str, Exception] = {}
    if not scenes:
        return made, failed
    made_by = kernel()

    with TestBed() as bed:

        def one(scene: Scene, stand: Play) -> None:
            assert scene.script
            try:
                scene.script(stand)
                stand.sleep(0.3)  # what is still under way belongs to it
                frames = stand.frames(near=scene.near)
                write(out, scene, scene.keep(stand, frames) if scene.keep else frames)
                made[scene.name] = {"by": scene.file, "how": scene.how, "kernel": made_by}
            except (OSError, MissingError, ValueError) as error:
                failed[scene.name] = error

        numbers = {name: i for i, name in enumerate(n for n, s in SCENES.items() if s.script)}
        stands = [(scene, seat(bed, scene, numbers[scene.name])) for scene in scenes]
        threads = [threading.Thread(target=one, args=stand) for stand in stands]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for _, stand in stands:
            stand.close()
    return made, failed


def seat(bed: TestBed, scene: Scene, number: int) -> Play:
    """A client and a server address that no other scene has."""
    if scene.ipv6:
        return Play(bed, f"2001:db8:1::{number + 1:x}", f"2001:db8:ffff::{number + 1:x}", scene.port)
    return Play(bed, f"{CLIENTS[number % 2]}{number + 1}", f"203.0.113.{number + 129}", scene.port)


def kernel() -> str:
    """Which kernel both ends run, and the day."""
    release = platform.release().partition("-")[0]
    return f"{platform.system()} {release}, {datetime.now(UTC).date().isoformat()}"


def write(out: Path, scene: Scene, frames: list[Frame]) -> None:
    """One capture, time stamps in nanoseconds."""
    (out / f"{scene.name}.pcap").write_bytes(pcap(frames, scene.link))


def note(made: dict[str, dict[str, str]], file: Path) -> None:
    """Bring the provenance up to date; what was not made again keeps its lines."""
    known = tomllib.loads(file.read_text()) if file.exists() else {}
    entries = sorted((known | made).items())
    lines = ["# Where each capture comes from; written by captures/make.py.", ""]
    for name, facts in entries:
        if name in SCENES or name == "demo":
            lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in facts.items()), ""]
    file.write_text("\n".join(lines))


if __name__ == "__main__":
    sys.exit(main())
