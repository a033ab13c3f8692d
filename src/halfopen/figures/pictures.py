"""Figures as pictures and as pages that stand alone, and the script and style that draw them in a page."""

from __future__ import annotations

import html
import json
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from halfopen.errors import HalfopenError

PATIENCE: Final = 60.0
"""Seconds that a picture may take."""

_WIDTH: Final = 960
_PADDING: Final = 16

_PAGE: Final = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
:root {{ color-scheme: {scheme}; }}
body {{ max-width: 1200px; margin: 0 auto; padding: 1rem; background: {background}; }}
{style}</style>
<div id="figure" class="figure"></div>
<script>{script}</script>
<script>drawFigure(document.getElementById("figure"), {spec});</script>
</html>
"""


def picture(spec: Mapping[str, Any], kind: str) -> bytes:
    """A specification that `themed` made as a picture, ``png`` or ``svg``, 960 px wide, on the colour of its page.

    It is drawn by a process of its own, which takes a second or two. Raises HalfopenError where that fails.
    """
    meta = spec["usermeta"]
    height = round(_WIDTH * meta["ratio"]) if "ratio" in meta else spec["height"]
    sized = {"width": _WIDTH, "height": height, "padding": _PADDING, "background": meta["background"]}
    sized["autosize"] = {"type": "fit-x", "contains": "padding"}
    return _drawn(kind, json.dumps({**spec, **sized}).encode())


def page(spec: Mapping[str, Any], title: str) -> str:
    """A page with the figure that needs nothing else, the network neither."""
    meta = spec["usermeta"]
    return _PAGE.format(
        title=html.escape(title),
        scheme="dark" if meta["dark"] else "light",
        background=meta["background"],
        style=style(),
        script=bundle(),
        # Nothing in it can end the script early.
        spec=json.dumps(spec).replace("<", "\\u003c"),
    )


@cache
def bundle() -> str:
    """The script with which a page draws figures (900 kB, to be served as UTF-8): it defines ``drawFigure(element, specification)``.

    It is made once in a process, which takes some two seconds, and is always the same.
    """
    return _drawn("script", b"").decode()


@cache
def style() -> str:
    """The style of figures in a page: of their place (class ``figure``), and of what is shown to who points at them."""
    return files("halfopen.figures").joinpath("figure.css").read_text(encoding="utf-8")


def _drawn(kind: str, given: bytes) -> bytes:
    # -P: nothing is imported from the directory that the process happens to be in.
    command = [sys.executable, "-P", "-m", "halfopen.figures.drawing", kind]
    try:
        done = subprocess.run(command, input=given, capture_output=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        raise HalfopenError(f"the figure could not be drawn within {PATIENCE:.0f} s") from None
    if done.returncode:
        why = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [
            f"exit code {done.returncode}"
        ]
        raise HalfopenError(f"the figure could not be drawn: {why[0]}")
    return done.stdout
