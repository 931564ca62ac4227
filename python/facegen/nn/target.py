"""What lowering asks of a device: which of its kernels does a step?

The answers come from the C++ predicates by which the engines choose their kernels. They know no
CUDA and no weights, so a program can be fitted to any device on any machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

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

    def why_not(self, step: Step, buffers: Sequence[Buffer]) -> str:
        """Why there is no kernel for a step, for people; empty where its algorithm is no reason."""

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
    kind, colon, which = name.partition(":")
    if kind in TARGETS and bool(colon) == bool(which):
        target = TARGETS[kind].find(which, precision, kernels)
        if target is not None:
            return target
    known = ", ".join(known for each in TARGETS.values() for known in each.names)
    raise ValueError(f"a device to lower for is one of {known}, not {name!r}")


class TargetKind(NamedTuple):
    """Targets of one engine.

    Attributes
    ----------
    names
        For people.
    find
        The target by what stands behind "kind:", or nothing; None where there is none of the name.
        Takes the precision and the family of kernels too.
    """

    names: Sequence[str]
    find: Callable[[str, str, str], Target | None]


def _find_cpu(isa: str, precision: str, kernels: str) -> Target:
    return _native.FitCpu(isa or _native.choose_isa())


def _find_cuda(which: str, precision: str, kernels: str) -> Target | None:
    capability = ARCHITECTURES.get(which or "hopper")
    if exact := re.fullmatch(r"([89]|[1-9]\d)\.(\d)", which):
        capability = int(exact[1]), int(exact[2])
    return None if capability is None else _native.FitCuda(*capability, precision, kernels)


# By what a target's name begins with.
TARGETS: dict[str, TargetKind] = {
    "cpu": TargetKind(("cpu", "cpu:ISA"), _find_cpu),
    "cuda": TargetKind(
        ("cuda", *(f"cuda:{name}" for name in ARCHITECTURES), "cuda:8.6 and the like"), _find_cuda
    ),
}
