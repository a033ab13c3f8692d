"""The first step on a bare machine: uv as the lock file pins it, checked before it is used."""

from __future__ import annotations

import hashlib
import io
import tarfile
import tomllib
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.house.project import ROOT, script


@pytest.fixture
def bootstrap() -> SimpleNamespace:
    return SimpleNamespace(**script("bootstrap.py"))


@pytest.fixture
def wheels(bootstrap: SimpleNamespace) -> list[dict[str, str]]:
    found: list[dict[str, str]] = bootstrap.pinned(tomllib.loads((ROOT / "uv.lock").read_text()), "uv")[
        "wheels"
    ]
    return found


@pytest.mark.parametrize(
    ("system", "machine", "libc", "tags"),
    [
        ("Linux", "x86_64", "glibc", ("manylinux", "x86_64")),
        ("Linux", "x86_64", "", ("musllinux", "x86_64")),
        ("Linux", "aarch64", "glibc", ("manylinux", "aarch64")),
        ("Linux", "aarch64", "", ("musllinux", "aarch64")),
        ("Darwin", "arm64", "", ("macosx", "arm64")),
        ("Darwin", "x86_64", "", ("macosx", "x86_64")),
    ],
)
def test_a_pinned_wheel_fits_each_machine(
    bootstrap: SimpleNamespace,
    wheels: list[dict[str, str]],
    system: str,
    machine: str,
    libc: str,
    tags: tuple[str, str],
) -> None:
    fitting = [w for w in wheels if bootstrap.fits(w["url"].rsplit("/", 1)[1], system, machine, libc)]
    assert fitting
    assert all(tag in wheel["url"] for wheel in fitting for tag in tags)
    assert all(wheel["hash"].startswith("sha256:") for wheel in fitting)


@pytest.mark.parametrize(("system", "machine"), [("Linux", "vax"), ("Plan9", "x86_64"), ("Darwin", "i386")])
def test_a_machine_without_a_wheel_gets_none(
    bootstrap: SimpleNamespace, wheels: list[dict[str, str]], system: str, machine: str
) -> None:
    assert not any(bootstrap.fits(w["url"].rsplit("/", 1)[1], system, machine, "") for w in wheels)


def wheel_with(content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("uv-1.data/scripts/uvx", b"another one")
        archive.writestr("uv-1.data/scripts/uv", content)
    return packed.getvalue()


def test_the_binary_comes_out_of_a_wheel_with_the_right_digest(bootstrap: SimpleNamespace) -> None:
    wheel = wheel_with(b"binary")
    assert bootstrap.binary_in(wheel, hashlib.sha256(wheel).hexdigest()) == b"binary"


def test_another_digest_installs_nothing(bootstrap: SimpleNamespace) -> None:
    with pytest.raises(SystemExit, match=r"uv\.lock asks for 0+: nothing was installed"):
        bootstrap.binary_in(wheel_with(b"binary"), "0" * 64)


def test_without_download_and_pip_one_line_says_what_to_install(
    bootstrap: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_pip(*_: Any, **__: Any) -> SimpleNamespace:
        return SimpleNamespace(returncode=1)

    monkeypatch.setattr("subprocess.run", no_pip)
    with pytest.raises(SystemExit, match="apt-get install python3-pip"):
        bootstrap.by_pip("1.0", "0" * 64, "no route")


def test_no_index_is_named_outside_the_lock_file() -> None:
    hosts = {wheel.split("/")[2] for wheel in _urls()}
    for file in ("Makefile", ".ci/run", "scripts/bootstrap.py", "pyproject.toml"):
        text = Path(ROOT / file).read_text()
        assert not [host for host in hosts if host in text], file


def _urls() -> list[str]:
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    return [wheel["url"] for package in lock["package"] for wheel in package.get("wheels", [])]


def test_the_sdks_source_is_unpacked_only_with_the_right_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))  # it uses the other script
    unpack = script("sdk_tests.py")["unpack"]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in ("sdk-1/pyproject.toml", "sdk-1/src/sdk.py", "sdk-1/tests/test_it.py"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    folder = tmp_path / "tools" / "sdk"
    with pytest.raises(SystemExit, match="nothing was unpacked"):
        unpack(packed.getvalue(), "0" * 64, folder)
    assert not folder.exists()
    unpack(packed.getvalue(), hashlib.sha256(packed.getvalue()).hexdigest(), folder)
    assert sorted(path.name for path in folder.rglob("*")) == ["pyproject.toml", "test_it.py", "tests"]
    assert list(folder.parent.iterdir()) == [folder]
