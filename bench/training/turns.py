"""Steps of several engines in turns, each in a process of its own, the others stopped."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from bench.process import Process

Step = Callable[[], Any]
Maker = tuple[Callable[..., Step], tuple[Any, ...]]  # a function that makes a step, its arguments
SECONDS = 0.7  # of a turn, at least


class Stepper:
    """A step, made and done twice."""

    def __init__(self, maker: Maker) -> None:
        make, arguments = maker
        self._step = make(*arguments)
        for _ in range(2):
            self._step()

    def ready(self) -> None:
        """It is, once it is made."""

    def turn(self) -> tuple[float, float]:
        """The seconds of a step: the least by the wall, and the mean of the processor."""
        count, start, used = 0, time.perf_counter(), time.process_time()
        best = float("inf")
        while time.perf_counter() - start < SECONDS or count < 3:
            began = time.perf_counter()
            self._step()
            best = min(best, time.perf_counter() - began)
            count += 1
        return best, (time.process_time() - used) / count


def take_turns(makers: Mapping[str, Maker], turns: int, threads: int = 1) -> dict[str, list[float]]:
    """Each engine's least seconds of a step: by the wall, and of the processor."""
    workers = {
        engine: Process(Stepper, maker, threads=threads) for engine, maker in makers.items()
    }
    try:
        for worker in workers.values():
            worker.ask("ready")
        found: dict[str, list[tuple[float, float]]] = {engine: [] for engine in makers}
        for _ in range(turns):
            for engine, worker in workers.items():
                found[engine].append(worker.ask("turn"))
    finally:
        for worker in workers.values():
            worker.close()
    return {
        engine: [min(times) for times in zip(*all_, strict=True)] for engine, all_ in found.items()
    }
