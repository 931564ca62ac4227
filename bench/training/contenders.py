"""Who is timed in training: this package in its precisions, PyTorch in its variants and theirs."""

from __future__ import annotations

import gc
import time
from typing import NamedTuple, Protocol

from bench.training.ours import OwnLearner, Phases
from bench.training.turns import Step

OURS = "facegen"
TORCH = "PyTorch"
COMPILED = ("compiled", "reduce-overhead")  # variants that take tens of seconds to make ready


class Learner(Protocol):
    """A case made ready for steps."""

    def warm_up(self) -> None:
        """What first steps do beside computing."""

    def step(self) -> list[float]:
        """One step on a batch from the host; its losses, before the change."""

    def run(self, count: int) -> None:
        """So many steps, done when it returns, on a batch that is on the device already."""

    def phases(self) -> Phases:
        """What the parts of a step take."""


class Contender(NamedTuple):
    """An engine on a device."""

    engine: str
    precision: str
    variant: str  # of PyTorch
    device: str
    threads: int

    def __str__(self) -> str:
        return f"{self.engine} {self.precision} {self.variant}".rstrip()

    @property
    def ours(self) -> bool:
        return self.engine == OURS

    @property
    def compiled(self) -> bool:
        return self.variant in COMPILED

    def learner(self, name: str) -> Learner:
        """The case of that name."""
        if self.ours:
            return OwnLearner(name, self.precision, self.device, self.threads)
        from bench.training.pytorch import TorchLearner

        return TorchLearner(name, self.variant, self.precision, self.device, self.threads)


class Worker:
    """A contender with one case after another, for a process of its own."""

    def __init__(self, contender: Contender) -> None:
        self._contender = contender
        self._learner: Learner | None = None
        self._seconds = 1.0  # of a step, about

    def build(self, name: str) -> None:
        """Make a case ready; what is compiled takes its first steps."""
        self.free()
        self._learner = self._contender.learner(name)

    def warm_up(self) -> None:
        assert self._learner is not None
        if not self._contender.compiled:
            self._learner.warm_up()
        begin = time.perf_counter()
        self._learner.step()
        self._seconds = time.perf_counter() - begin

    def turn(self, resident: bool, seconds: float) -> float:
        """The mean seconds of a step, over about so many, but at least two steps."""
        assert self._learner is not None
        count = max(2, int(seconds / self._seconds))
        begin = time.perf_counter()
        if resident:
            self._learner.run(count)
        else:
            for _ in range(count):
                self._learner.step()
        return (time.perf_counter() - begin) / count

    def phases(self) -> Phases:
        assert self._learner is not None
        return self._learner.phases()

    def free(self) -> None:
        """Leave the device's memory to others."""
        if self._learner is None:
            return
        self._learner = None
        gc.collect()
        if not self._contender.ours:
            import torch

            torch.cuda.empty_cache()


def own_step(name: str, precision: str, threads: int) -> Step:
    """A step on the CPU."""
    return Contender(OURS, precision, "", "cpu", threads).learner(name).step


def torch_step(name: str, threads: int) -> Step:
    """A step on the CPU."""
    return Contender(TORCH, "fp32", "channels_last", "cpu", threads).learner(name).step
