"""``halfopen completion``: what a shell completes command lines by."""

from __future__ import annotations

from argparse import Namespace
from typing import Any


def add(verbs: Any) -> None:
    """Add the verb to the command line."""
    verb = verbs.add_parser(
        "completion",
        help="print what a shell completes command lines by",
        description='Print a script for a shell. For bash, put into ~/.bashrc: eval "$(halfopen completion bash)". For zsh, write it to '
        "a file _halfopen in a directory of $fpath.",
        allow_abbrev=False,
    )
    verb.add_argument("shell", metavar="SHELL", choices=("bash", "zsh"), help="bash or zsh")
    verb.set_defaults(run=run)


def run(args: Namespace) -> int:
    """Print it."""
    import shtab

    from halfopen.cli.main import parser

    print(shtab.complete(parser(), shell=args.shell))
    return 0
