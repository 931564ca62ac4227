"""A contender's model in a process of its own, which runs it on request."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bench.peers import Contender, Model, NotApplicable
from bench.process import Process, WorkerError
from bench.workload import Workload

__all__ = ["Worker", "WorkerError", "Workers"]

Clock = Callable[[], float]

BUILD_TIMEOUT = 180.0  # seconds; torch.compile's autotuning needs tens of them


class Worker(Process):
    """The parent's end of the process."""

    def __init__(
        self, contender: Contender, threads: int, clock: Clock = time.perf_counter
    ) -> None:
        super().__init__(
            _State, contender, threads, clock, threads=threads, passed=(NotApplicable,)
        )
        self.contender = contender

    def build(self, workload: Workload, batch: int, timeout: float = BUILD_TIMEOUT) -> str:
        """Builds the workload's model in the place of the last one; the model's note.

        Raises
        ------
        NotApplicable
            Where the contender's variant means nothing for this batch and thread count.
        WorkerError
            Where it cannot be built, or not in so many seconds.
        """
        return self.ask("build", workload, batch, timeout=timeout)

    def first_run(self, images: Sequence[int], timeout: float = BUILD_TIMEOUT) -> list[np.ndarray]:
        """Runs once; these images of the outputs, (n, h, w, c)."""
        return self.ask("first_run", images, timeout=timeout)

    def time(self, runs: int, warm_up: int) -> list[float]:
        """Seconds of each of `runs` runs, after `warm_up` that do not count."""
        return self.ask("time", runs, warm_up)


class Workers:
    """The workers of one thread count, each started when it is first asked for.

    A context manager that leaves no process behind. `clock` tells the seconds of a run.
    """

    def __init__(self, threads: int, clock: Clock = time.perf_counter) -> None:
        self.threads, self._clock = threads, clock
        self._workers: dict[Contender, Worker] = {}

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            worker.close()

    def __getitem__(self, contender: Contender) -> Worker:
        """The contender's worker; a new one where it has died."""
        worker = self._workers.get(contender)
        if worker is None or not worker.alive:
            worker = self._workers[contender] = Worker(contender, self.threads, self._clock)
        return worker


class _State:
    """The worker's end."""

    def __init__(self, contender: Contender, threads: int, clock: Clock) -> None:
        self._contender, self._threads, self._clock = contender, threads, clock
        self._turn = 0
        self._model: Model | None = None
        self._inputs: list[Any] = []

    def build(self, workload: Workload, batch: int) -> str:
        self._model, self._inputs = None, []  # frees the model before this one
        graph, weights = workload.graph, workload.weights
        self._model = self._contender.build(graph, weights, batch, self._threads)
        turns = range(workload.rotation(batch))
        self._inputs = [self._model.prepare(workload.inputs(batch, turn)) for turn in turns]
        return self._model.note

    def first_run(self, images: Sequence[int]) -> list[np.ndarray]:
        assert self._model is not None
        outputs = self._model.outputs(self._model.run(self._inputs[0]))
        return [np.ascontiguousarray(y[list(images)]) for y in outputs]

    def time(self, runs: int, warm_up: int) -> list[float]:
        assert self._model is not None
        seconds = []
        for i in range(warm_up + runs):
            self._turn += 1
            inputs = self._inputs[self._turn % len(self._inputs)]
            start = self._clock()
            result = self._model.run(inputs)
            if i >= warm_up:
                seconds.append(self._clock() - start)
            del result  # freed outside the time, before the next run asks for memory
        return seconds
