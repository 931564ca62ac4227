"""What a kind of device is: each engine of this folder makes one, and one line lists it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from facegen.nn.program import Program

CPU = "cpu"

# An array in a GPU's memory, as engines take it: pointer, element ("pixels" are uint8 that stand
# for -1 to 1), (height, width, channels), strides of (n, height, width, channels) in elements.
CallerArray = tuple[int, str, tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class Device:
    """A kind of device and, for GPUs, which ones."""

    kind: str  # "cpu", or the name of a `Kind`
    indices: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind}:{','.join(map(str, self.indices))}" if self.indices else self.kind


class Call(Protocol):
    """A call with arrays in a GPU's memory, which may come again and again."""

    def enqueue(self, stream: int) -> None:
        """Enqueue the work on a stream of that GPU; waits for nothing."""


class Engine(Protocol):
    """A program made ready on a device."""

    @property
    def device(self) -> str:
        """The device in use, for example "cpu" or "cuda:0"."""

    @property
    def threads(self) -> int:
        """Threads on the host."""

    @property
    def isa(self) -> str:
        """The instruction set in use, for example "avx512", or a GPU's architecture."""

    @property
    def batch(self) -> int:
        """How many images it computes at once, where there are many."""

    def chunk(self, item_bytes: int) -> int:
        """Items of a run's chunk: whole batches, one at least."""

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        """Uninitialised memory for an output."""

    def run(self, inputs: list[np.ndarray], outputs: list[np.ndarray], count: int) -> None:
        """Compute outputs, float32 or pixels, of inputs that are either, all on the host."""

    def require_gpu(self, device: int) -> None:
        """Raise ValueError for a GPU that is none of this engine's."""

    def prepare(
        self, device: int, inputs: list[CallerArray], outputs: list[CallerArray], count: int
    ) -> Call:
        """A call with a batch of arrays in the memory of one of its GPUs."""

    def time_steps(self, images: int, repeats: int) -> list[tuple[str, float]]:
        """Each step's kernel, and its milliseconds for so many images; DeviceError on the CPU."""


# Called as ``engine(program, device, threads, precision, max_batch)``.
MakeEngine = Callable[[Program, Device, int, str, int | None], Engine]


@dataclass(frozen=True)
class Kind:
    """GPUs that one engine runs.

    Attributes
    ----------
    name
        As ``--device`` has it: "cuda", and "cuda:0,1" by their numbers.
    engine
        Makes a program ready on some of them.
    why_unusable
        Why none of them can be used, in one line; empty where one can. Must not fail where this
        build or machine has none.
    usable
        The numbers of those that this build can use; asked where one can.
    describe
        One of them for people: its name, architecture and memory.
    """

    name: str
    engine: MakeEngine
    why_unusable: Callable[[], str]
    usable: Callable[[], tuple[int, ...]]
    describe: Callable[[int], str]
