"""Classic BPF with labels: jumps may be of any length here, where the kernel's conditions reach 255 instructions.

A condition whose target is further away jumps to an unconditional jump right behind it. Source:
Documentation/networking/filter.rst of Linux.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

from halfopen.capture.live.packet_socket import Instruction

# Into the accumulator A: 32, 16 or 8 bits at an offset, the same at an offset from the index X, a constant, a word of memory.
LD_W, LD_H, LD_B, LD_W_X, LD_H_X, LD_B_X, LD_K, LD_M = 0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x00, 0x60
# Into X: a constant, a word of memory, the length of the IPv4 header at an offset.
LDX_K, LDX_M, LDX_IP = 0x01, 0x61, 0xB1
# A into memory, A into X.
ST, TAX = 0x02, 0x07
# A with a constant, A with X.
ADD_X, MUL, AND, LSH, RSH, XOR, XOR_X = 0x0C, 0x24, 0x54, 0x64, 0x74, 0xA4, 0xAC
# Go on elsewhere; if A is equal, is not less, has one of these bits; end and keep so many bytes.
JA, JEQ, JGE, JSET, RET = 0x05, 0x15, 0x35, 0x45, 0x06

REACH: Final = 255

Label: TypeAlias = int


class _Step(NamedTuple):
    code: int
    k: int
    yes: Label | None
    no: Label | None

    @property
    def targets(self) -> tuple[Label, ...]:
        return tuple(each for each in (self.yes, self.no) if each is not None)


class Assembler:
    """Takes instructions in their order and gives the program."""

    def __init__(self) -> None:
        self._steps: list[_Step] = []
        self._places: list[int] = []  # of labels, by the steps they stand before

    def label(self) -> Label:
        """A new label, to be put somewhere behind every jump to it."""
        self._places.append(-1)
        return len(self._places) - 1

    def put(self, label: Label) -> None:
        """The label is here."""
        self._places[label] = len(self._steps)

    def do(self, code: int, k: int = 0) -> None:
        """An instruction that is no jump."""
        self._steps.append(_Step(code, k, None, None))

    def go(self, label: Label) -> None:
        """Go on at a label."""
        self._steps.append(_Step(JA, 0, label, None))

    def when(self, code: int, k: int, yes: Label | None = None, no: Label | None = None) -> None:
        """Go on at one label or the other; without one, with what follows."""
        self._steps.append(_Step(code, k, yes, no))

    def assembled(self) -> list[Instruction]:
        """The program. It is made from its end, since every jump leads forward."""
        made: list[Instruction] = []  # the last comes first
        behind = [0] * (len(self._steps) + 1)  # instructions from each step to the end
        for number, step in reversed([*enumerate(self._steps)]):
            reach = {label: len(made) - behind[self._places[label]] for label in step.targets}
            if step.code == JA:
                made.append((JA, 0, 0, reach[step.targets[0]]))
            else:
                bridges = [label for label in step.targets if reach[label] > REACH - 2]
                near = {label: place + len(bridges) for label, place in reach.items()}
                near |= {label: place for place, label in enumerate(bridges)}
                made += [(JA, 0, 0, reach[label] + place) for place, label in enumerate(reversed(bridges))]
                yes, no = (len(bridges) if each is None else near[each] for each in (step.yes, step.no))
                made.append((step.code, *((yes, no) if step.targets else (0, 0)), step.k))
            behind[number] = len(made)
        return made[::-1]
