"""Captures to run the command on, and ways to run it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from halfopen.cli.main import main
from halfopen.jit.cache import say_compiling
from halfopen.model import SECOND
from halfopen.testing.conversation import START, Conversation, framed
from halfopen.testing.payloads import client_hello
from halfopen.testing.pcap import pcap

SERVER = ("203.0.113.200", 443)


def capture_bytes(number: int, connections: int = 6) -> bytes:
    """A capture of connections of different ends; `number` makes it unlike others."""
    conversations = []
    for index in range(connections):
        client = (f"192.0.2.{10 + index}", 40000 + number)
        conversation = Conversation(client, SERVER, start=START + (number * 1000 + index) * SECOND)
        conversation.open()
        if index % 2:
            conversation.data(client_hello(f"www{index}.example"))
        conversations.append(conversation.rst() if index % 3 else conversation.rst_ack())
    late = Conversation(
        ("2001:db8::7", 41000), ("2001:db8::200", 443), start=START + (number + 1) * 1000 * SECOND
    )
    return pcap(framed(*conversations, late.syn()))


@dataclass(frozen=True)
class Ran:
    """What a run of the command gave."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def captures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of three sound captures: one.pcap, two.pcap and three.pcap."""
    directory = tmp_path_factory.mktemp("captures")
    for number, name in enumerate(("one", "two", "three")):
        (directory / f"{name}.pcap").write_bytes(capture_bytes(number))
    return directory


@pytest.fixture(scope="session")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture that ends in the middle of a packet."""
    path = tmp_path_factory.mktemp("damaged") / "cut.pcap"
    path.write_bytes(capture_bytes(7)[:-10])
    return path


@pytest.fixture
def halfopen(capfdbinary: pytest.CaptureFixture[bytes]) -> Callable[..., Ran]:
    """Run the command in this process."""
    say_compiling()  # once in a process: now, and not in what a test looks at

    def run(*argv: object) -> Ran:
        capfdbinary.readouterr()
        try:
            code = main([str(each) for each in argv])
        except SystemExit as left:
            code = int(left.code or 0)
        out, err = capfdbinary.readouterr()
        return Ran(code, out.decode(), err.decode())

    return run


def command(*argv: object) -> list[str]:
    """The command line of a process of its own."""
    return [sys.executable, "-m", "halfopen", *map(str, argv)]


def spawned(*argv: object, stdin: bytes | None = None) -> Ran:
    """Run the command in a process of its own."""
    done = subprocess.run(
        command(*argv), input=stdin, capture_output=True, env=os.environ, timeout=300, check=False
    )
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


def run_without_reader(argv: list[str]) -> tuple[int, str]:
    """Exit code and standard error of a program whose output nobody reads any more, as after ``| head``."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(argv, stdout=writer, stderr=subprocess.PIPE, timeout=300, check=False)
    finally:
        os.close(writer)
    return done.returncode, done.stderr.decode()
