"""The one place that knows vl-convert: run as a program it turns a specification into a picture, or makes the script of pages.

It brings a JavaScript engine along, so it runs in a process of its own, for as long as one picture takes.
"""

from __future__ import annotations

import json
import resource
import sys
from importlib.resources import files
from typing import Final

VEGA_LITE: Final = "6.4"
"""The version that Altair writes for."""

_SCALE: Final = 2
"""Pixels of a PNG for each of the figure's."""

_SECONDS: Final = 60
_BYTES: Final = 2 << 30


def main() -> None:
    """Write what the first argument asks for to standard output: ``png`` or ``svg`` of the specification on standard input, or
    the ``script``."""
    resource.setrlimit(resource.RLIMIT_CPU, (_SECONDS, _SECONDS))
    resource.setrlimit(resource.RLIMIT_DATA, (_BYTES, _BYTES))
    import vl_convert

    match sys.argv[1]:
        case "script":
            snippet = files("halfopen.figures").joinpath("draw.js").read_text(encoding="utf-8")
            made = vl_convert.javascript_bundle(snippet, vl_version=VEGA_LITE).encode()
        case "svg":
            made = vl_convert.vegalite_to_svg(
                json.load(sys.stdin), vl_version=VEGA_LITE, allowed_base_urls=[]
            ).encode()
        case "png":
            made = vl_convert.vegalite_to_png(
                json.load(sys.stdin), vl_version=VEGA_LITE, scale=_SCALE, allowed_base_urls=[]
            )
        case other:
            sys.exit(f"{other} is not png, svg or script")
    sys.stdout.buffer.write(made)


if __name__ == "__main__":
    main()
