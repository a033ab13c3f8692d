"""Put the uv that uv.lock pins into .tools/, with nothing but Python's standard library.

A fresh Debian has neither pip nor venv. The lock file names a wheel and its SHA-256 for every
platform; that wheel is fetched, checked and its one binary unpacked. Where the download fails but
pip is there, pip fetches the same pinned wheel by its own configuration.
"""

import sys

if sys.version_info < (3, 11):  # noqa: UP036 - this file is also run by whatever python3 happens to be
    sys.exit(
        f"Python 3.11 or newer is needed and {sys.executable} is {sys.version.split()[0]}; "
        "name another one: make PYTHON=/path/to/python3.11"
    )

import hashlib
import http.client
import io
import os
import platform
import subprocess
import tempfile
import time
import tomllib
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / ".tools"
UV = TOOLS / "uv"
ATTEMPTS = 3
DOWNLOAD_ERRORS = (OSError, http.client.HTTPException)


def pinned(lock: dict[str, Any], name: str) -> dict[str, Any]:
    """The lock file's entry for a package."""
    return next(package for package in lock["package"] if package["name"] == name)


def fits(wheel: str, system: str, machine: str, libc: str) -> bool:
    """Whether a wheel of this file name runs on that system (platform.system(), machine(), libc_ver()[0])."""
    families = {
        "Linux": "manylinux" if libc == "glibc" else "musllinux",
        "Darwin": "macosx",
        "FreeBSD": "freebsd",
    }
    family = families.get(system)
    tags = wheel.removesuffix(".whl").rsplit("-", 1)[1].split(".")
    return family is not None and any(tag.startswith(family) and tag.endswith(f"_{machine}") for tag in tags)


def choose(wheels: list[dict[str, str]]) -> dict[str, str] | None:
    """The wheel for the machine this runs on, None where there is none."""
    here = (platform.system(), platform.machine(), platform.libc_ver()[0])
    return next((w for w in wheels if fits(w["url"].rsplit("/", 1)[1], *here)), None)


def download(url: str) -> bytes:
    """The bytes behind `url`; raises one of DOWNLOAD_ERRORS after the last attempt."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                return bytes(answer.read())
        except DOWNLOAD_ERRORS:
            if attempt == ATTEMPTS:
                raise
            time.sleep(attempt)
    raise AssertionError("the last attempt returns or raises")


def binary_in(wheel: bytes, sha256: str) -> bytes:
    """The uv binary in a wheel whose digest must be `sha256`."""
    found = hashlib.sha256(wheel).hexdigest()
    if found != sha256:
        sys.exit(f"the uv wheel has SHA-256 {found}, uv.lock asks for {sha256}: nothing was installed")
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        name = next(n for n in archive.namelist() if n.endswith("/scripts/uv"))
        return archive.read(name)


def by_pip(version: str, sha256: str, reason: str) -> bytes:
    """The same pinned wheel through pip, for machines whose way to the index only pip knows."""
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode:
        sys.exit(
            f"uv {version} cannot be downloaded ({reason}) and this Python has no pip to try instead; "
            "let this machine reach the package index, or install pip (Debian: apt-get install python3-pip)"
        )
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "uv.txt"
        wanted.write_text(f"uv=={version} --hash=sha256:{sha256}\n")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        if subprocess.run([*pip, "--require-hashes", "--dest", folder, "-r", wanted]).returncode:
            sys.exit(f"uv {version} cannot be downloaded: neither directly ({reason}) nor by pip")
        return binary_in(next(Path(folder).glob("*.whl")).read_bytes(), sha256)


def place(binary: bytes) -> None:
    """Write .tools/uv in one step, so that two runs at once do no harm."""
    TOOLS.mkdir(exist_ok=True)
    handle, name = tempfile.mkstemp(dir=TOOLS, prefix="uv-")
    with os.fdopen(handle, "wb") as file:
        file.write(binary)
    Path(name).chmod(0o755)
    Path(name).replace(UV)


def main() -> None:
    """Have the pinned uv in place, whatever was there before."""
    package = pinned(tomllib.loads((ROOT / "uv.lock").read_text()), "uv")
    version = package["version"]
    if UV.exists():
        said = subprocess.run([UV, "--version"], capture_output=True, text=True).stdout.split()
        if version in said:
            UV.touch()
            return
    wheel = choose(package["wheels"])
    if wheel is None:
        here = f"{platform.system()} {platform.machine()}"
        sys.exit(f"uv.lock names no uv {version} for {here}; put one there yourself: {UV}")
    sha256 = wheel["hash"].removeprefix("sha256:")
    try:
        binary = binary_in(download(wheel["url"]), sha256)
    except DOWNLOAD_ERRORS as error:
        binary = by_pip(version, sha256, str(error))
    place(binary)


if __name__ == "__main__":
    main()
