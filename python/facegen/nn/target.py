"""What lowering asks of a device: which of its kernels does a step?

The answers come from the C++ predicates by which the engines choose their kernels. They know no
CUDA and no weights, so a program can be fitted to any device on any machine.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from facegen import _native
from facegen.nn.program import Buffer, Step

# Compute capability by the name of an architecture.
ARCHITECTURES = {"ampere": (8, 0), "ada": (8, 9), "hopper": (9, 0)}


class Target(Protocol):
    """A kind of device that a program can be fitted to. It need not be here."""

    @property
    def name(self) -> str:
        """What people call it: "cpu avx512", "sm_90 float32"."""

    def kernel(self, step: Step, buffers: Sequence[Buffer]) -> tuple[int, str] | None:
        """Rank (lower is better) and name of the kernel for a step; None where there is none.

        The formats of the buffers count, their places in the arena do not.
        """

    def input_format(self, step: Step, buffers: Sequence[Buffer]) -> str:
        """The format in which a step should read its input; "any" where all are alike."""

    @property
    def operand_format(self) -> str:
        """The format in which matrix products are read best by most kernels."""

    @property
    def value_format(self) -> str:
        """The format of buffers that nobody wants in another one."""

    @property
    def pixel_channels(self) -> int:
        """Pixels that begin at multiples of so many elements are read best."""


def find_target(name: str, precision: str = "float32", kernels: str = "auto") -> Target:
    """The kind of device of a name: "cpu", "cpu:avx2", "cuda" (Hopper), "cuda:ampere", "cuda:8.9".

    "cuda:0" is a GPU of this machine, no kind of them. Of CPUs there are only the instruction sets
    that this one has.

    Raises
    ------
    ValueError
        There is no such device, precision, or family of kernels.
    """
    if name == "cpu":
        return _native.FitCpu(_native.choose_isa())
    if name.startswith("cpu:"):
        return _native.FitCpu(name.removeprefix("cpu:"))
    if name == "cuda":
        name = "cuda:hopper"
    capabilities = {f"cuda:{kind}": capability for kind, capability in ARCHITECTURES.items()}
    capability = capabilities.get(name)
    if exact := re.fullmatch(r"cuda:([89]|[1-9]\d)\.(\d)", name):
        capability = int(exact[1]), int(exact[2])
    if capability is None:
        kinds = ", ".join(["cpu", "cpu:ISA", "cuda", *capabilities, "cuda:8.6 and the like"])
        raise ValueError(f"a device to lower for is one of {kinds}, not {name!r}")
    return _native.FitCuda(*capability, precision, kernels)
