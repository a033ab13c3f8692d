"""Put the tests of the official Python SDK, from the source distribution that uv.lock pins, into .tools/."""

from __future__ import annotations

import hashlib
import io
import shutil
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path

from bootstrap import DOWNLOAD_ERRORS, ROOT, TOOLS, download, pinned

SDK = "cloudflare"


def unpack(archive: bytes, sha256: str, folder: Path) -> None:
    """Unpack pyproject.toml and tests/ of an archive whose digest must be `sha256` into a new folder."""
    found = hashlib.sha256(archive).hexdigest()
    if found != sha256:
        sys.exit(f"the source of {SDK} has SHA-256 {found}, uv.lock asks for {sha256}: nothing was unpacked")
    folder.parent.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=folder.parent) as beside,
        tarfile.open(fileobj=io.BytesIO(archive)) as members,
    ):
        top = members.getnames()[0].partition("/")[0]
        wanted = (f"{top}/pyproject.toml", f"{top}/tests/")
        members.extractall(beside, (m for m in members if m.name.startswith(wanted)), filter="data")
        shutil.rmtree(folder, ignore_errors=True)
        (Path(beside) / top).rename(folder)


def main() -> None:
    """Have the tests of the pinned version in place."""
    package = pinned(tomllib.loads((ROOT / "uv.lock").read_text()), SDK)
    folder = TOOLS / f"{SDK}-{package['version']}"
    if not folder.exists():
        source = package["sdist"]
        try:
            archive = download(source["url"])
        except DOWNLOAD_ERRORS as error:
            sys.exit(f"the source of {SDK} {package['version']} cannot be downloaded: {error}")
        unpack(archive, source["hash"].removeprefix("sha256:"), folder)


if __name__ == "__main__":
    main()
