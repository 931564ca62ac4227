"""A process that holds one contender's model and runs it on request.

Each contender has a process of its own, and all but the one that is timed are stopped (SIGSTOP):
the idle thread pools of the others cannot spin beside it, and thread counts set for one library do
not reach another.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from bench.peers import Contender, Model, NotApplicable
from bench.workload import Workload

Clock = Callable[[], float]

BUILD_TIMEOUT = 180.0  # seconds; torch.compile's autotuning needs tens of them


class WorkerError(Exception):
    """What went wrong in a worker, in one line."""


class Worker:
    """The parent's end of the process."""

    def __init__(
        self, contender: Contender, threads: int, clock: Clock = time.perf_counter
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, contender, threads, clock))
        self._process.daemon = True
        self._process.start()
        theirs.close()
        self.contender = contender

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    def close(self) -> None:
        """Ends the process, whatever it is doing."""
        self._connection.close()  # ends _serve, where it waits for a request
        if self._process.is_alive():
            assert self._process.pid is not None
            os.kill(self._process.pid, signal.SIGCONT)
            self._process.join(timeout=5)
        self._process.kill()
        self._process.join()

    def build(self, workload: Workload, batch: int, timeout: float = BUILD_TIMEOUT) -> str:
        """Builds the workload's model in the place of the last one; the model's note.

        Raises
        ------
        NotApplicable
            Where the contender's variant means nothing for this batch and thread count.
        WorkerError
            Where it cannot be built, or not in so many seconds.
        """
        return self._ask("build", workload, batch, timeout=timeout)

    def first_run(self, images: Sequence[int], timeout: float = BUILD_TIMEOUT) -> list[np.ndarray]:
        """Runs once; these images of the outputs, (n, h, w, c)."""
        return self._ask("first_run", images, timeout=timeout)

    def time(self, runs: int, warm_up: int) -> list[float]:
        """Seconds of each of `runs` runs, after `warm_up` that do not count."""
        return self._ask("time", runs, warm_up)

    def _ask(self, *request: Any, timeout: float | None = None) -> Any:
        assert self._process.pid is not None
        os.kill(self._process.pid, signal.SIGCONT)
        try:
            self._connection.send(request)
            if not self._connection.poll(timeout):
                self.close()
                raise WorkerError(f"no answer within {timeout:.0f} s")
            answer = self._connection.recv()
        except (EOFError, ConnectionError):
            self._process.join()
            raise WorkerError(f"its process died, exit code {self._process.exitcode}") from None
        os.kill(self._process.pid, signal.SIGSTOP)
        if isinstance(answer, NotApplicable | WorkerError):
            raise answer
        return answer


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


def _serve(connection: Connection, contender: Contender, threads: int, clock: Clock) -> None:
    """Answers requests until the parent is gone."""
    # Before any library is imported; the second keeps torch.compile from a pool of processes.
    os.environ["OMP_NUM_THREADS"] = str(threads)
    os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which ends this one
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(silence, stream.fileno())  # converters talk
    state = _State(contender, threads, clock)
    while True:
        try:
            request, *arguments = connection.recv()
        except EOFError:
            return
        try:
            answer = getattr(state, request)(*arguments)
        except NotApplicable as reason:
            answer = reason
        except Exception as error:
            message = str(error).strip().splitlines() or [""]
            answer = WorkerError(f"{type(error).__name__}: {message[0][:200]}")
        connection.send(answer)


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
