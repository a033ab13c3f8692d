"""The stages as figures show them: one order, one colour and a few words for each."""

from __future__ import annotations

from typing import Final

from halfopen.model import STAGES, Stage

CUT: Final = tuple(stage for stage in STAGES if stage is not Stage.no_match)
"""The stages of cut connections, the earliest first."""

WORDS: Final = {
    Stage.post_syn: "after the SYN",
    Stage.post_ack: "after the handshake",
    Stage.post_psh: "after the first data",
    Stage.later_in_flow: "after more data",
    Stage.no_match: "not cut",
}

COLOURS: Final = {
    Stage.post_syn: "#d55e00",
    Stage.post_ack: "#e9a820",
    Stage.post_psh: "#3d8fd1",
    Stage.later_in_flow: "#b678b0",
    Stage.no_match: "rgba(140, 149, 159, 0.28)",
}
"""After Okabe and Ito: told apart by whoever sees fewer colours, on white and on black."""
