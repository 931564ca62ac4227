"""Decode, compute, encode: many pictures at once, in bounded memory, none stopping the others.

    items ──► decode + prepare ──► compute ──► finish + encode + write ──► outcomes
              (a pool of threads)   (one)       (a pool of threads)

Pictures go on in the order in which they are decoded, and the network gets as many of them as are
ready, up to a batch: it never waits for a batch to fill. A `PixelBudget` bounds the pictures that
are between the beginning of decoding and the end of writing.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from facegen import parallel, processors
from facegen.errors import MACHINE_ERRORS, DeviceError, FacegenError
from facegen.pictures.items import Item
from facegen.pictures.memory import PixelBudget
from facegen.pictures.pages import made_of_all
from facegen.pictures.record import Input, settings_digest
from facegen.pictures.report import Outcome, Report
from facegen.pictures.results import Results
from facegen.pictures.task import Made, Task
from facegen.pipeline import run_pipeline, starting_threads
from facegen.shares import chunks

if TYPE_CHECKING:
    from facegen.photos.frames import Frames

MAX_PIXELS = 100_000_000  # of photos in memory: 300 MB, one picture of Pillow's limit
MIN_PIXELS = 400_000  # that a photo counts for at least, with what the network takes and gives
MAX_WORKERS = 16  # threads that decode, and as many that encode

OnOutcome = Callable[[Outcome], None]


@dataclass
class _Work:
    """A picture on its way: fields are filled in as it goes, as far as it gets without an error."""

    index: int
    item: Item
    pixels: int = 0  # taken from the budget
    made_of: Input | None = None
    photo: Any = None
    value: Any = None  # the network's input, then its output
    frames: Frames | None = None  # of a file of several pictures, in place of the two
    made: Made | None = None
    error: str | None = None


def run(
    items: Sequence[Item],
    task: Task,
    results: Results,
    on_outcome: OnOutcome = lambda outcome: None,
    workers: int | None = None,
    on_ranks: bool = True,
) -> Report:
    """Do the items that are not finished yet, on all ranks if there are several.

    Parameters
    ----------
    items
        All of them, or this process's share.
    task
        With several ranks (`facegen.parallel`) it must be picklable, as `results`.
    results
        Where outputs go; closed by the caller.
    on_outcome
        Called for every picture when it is finished, one at a time, from any thread.
    workers
        Threads that decode, and as many that encode; as many as processors if None.
    on_ranks
        False where the items are this process's alone, though others were started with it.

    Returns
    -------
    Report
        Outcomes in the order of the items: in = done + failed + skipped.

    Raises
    ------
    FacegenError
        Before anything is computed: an output exists that no run is known to have made. Later: the
        device failed.
    OSError
        The machine failed (a full disk); what is finished is kept.
    """
    begin = time.perf_counter()
    settings = settings_digest(task.settings)
    outcomes = results.finished(items, settings)
    todo = [item for item in items if item not in outcomes]
    for outcome in outcomes.values():
        on_outcome(outcome)
    here = partial(_in_this_process, task=task, settings=settings, results=results, workers=workers)
    ranks = parallel.join() if on_ranks and len(todo) > 1 else 1
    if ranks > 1:
        done = _on_all_ranks(here, todo, ranks, 2 * task.batch, on_outcome)
    else:
        done = here(todo, on_outcome=on_outcome)
    outcomes |= dict(zip(todo, done, strict=True))
    return Report(tuple(outcomes[item] for item in items), time.perf_counter() - begin)


def _on_all_ranks(
    in_one: Callable[[Sequence[Item]], list[Outcome]],
    items: Sequence[Item],
    ranks: int,
    most: int,
    on_outcome: OnOutcome,
) -> list[Outcome]:
    """Every rank reads, computes and writes whole pictures: only names travel."""
    done: list[Outcome] = []

    def collect(outcomes: list[Outcome]) -> None:
        done.extend(outcomes)
        for outcome in outcomes:
            on_outcome(outcome)

    size = max(1, min(most, len(items) // (4 * ranks)))  # so that unequal ranks finish together
    parallel.run(chunks(items, size), in_one, collect)
    return done


def _in_this_process(
    items: Sequence[Item],
    task: Task,
    settings: str,
    results: Results,
    workers: int | None,
    on_outcome: OnOutcome = lambda outcome: None,
) -> list[Outcome]:
    """Do all of these items here; outcomes in their order."""
    workers = workers or min(processors.count(), MAX_WORKERS)
    with warnings.catch_warnings():  # of damaged tags; what is above Pillow's limit is an error
        warnings.filterwarnings("ignore", module="PIL")
        outcomes = _Run(task, settings, results, on_outcome, workers).run(items)
    return [outcomes[index] for index in range(len(items))]


class _Run:
    """What the threads of one run share."""

    def __init__(
        self, task: Task, settings: str, results: Results, on_outcome: OnOutcome, workers: int
    ) -> None:
        self._task, self._settings, self._results = task, settings, results
        self._on_outcome = on_outcome
        self._workers = workers
        self._budget = PixelBudget(MAX_PIXELS)
        self._ready: SimpleQueue[_Work | None] = SimpleQueue()  # decoded, or failed; None ends it
        self._outcomes: dict[int, Outcome] = {}
        self._failure: BaseException | None = None  # that ends the run
        self._lock = threading.Lock()

    def run(self, items: Sequence[Item]) -> dict[int, Outcome]:
        """Outcomes by index."""
        decoders = ThreadPoolExecutor(self._workers, "facegen-decode")
        self._encoders = ThreadPoolExecutor(self._workers, "facegen-encode")
        try:
            run_pipeline(self._groups(items, decoders), self._compute, self._hand_on, depth=1)
            self._encoders.shutdown()
            self._raise_failure()
        finally:  # where it failed or was interrupted, what is not begun is dropped
            self._budget.close()
            self._ready.put(None)
            decoders.shutdown(cancel_futures=True)
            self._encoders.shutdown(cancel_futures=True)
        return self._outcomes

    def _groups(self, items: Sequence[Item], decoders: ThreadPoolExecutor) -> Iterator[list[_Work]]:
        """Pictures in groups of up to a batch, as they are ready."""
        ahead = 2 * (self._workers + self._task.batch)  # decoding or decoded
        submitted = received = 0
        while received < len(items):
            while submitted < min(len(items), received + ahead):
                with starting_threads():
                    decoders.submit(self._decode, _Work(submitted, items[submitted]))
                submitted += 1
            group: list[_Work] = []
            while not group or (len(group) < self._task.batch and not self._ready.empty()):
                work = self._ready.get()
                self._raise_failure()
                if work is None:
                    return
                group.append(work)
            received += len(group)
            yield group

    def _decode(self, work: _Work) -> None:
        with self._guarded(work):
            work.made_of, data = Input.read(work.item.source)
            pixels = max(self._task.pixels(data), self._task.least_pixels, MIN_PIXELS)
            if self._budget.take(pixels):
                work.pixels = pixels
                work.frames = self._task.frames(data)
                if work.frames is None:
                    work.photo = self._task.decode(data)
                    work.value = self._task.prepare(work.photo)
        self._ready.put(work)

    def _compute(self, group: list[_Work]) -> list[_Work]:
        for work in group:
            if work.error is None and work.frames is not None:
                with self._guarded(work):
                    work.made = made_of_all(self._task, work.frames, work.item.outputs)
        good = [work for work in group if work.error is None and work.frames is None]
        try:
            self._compute_together(good)
        except Exception as error:
            if _reason(error, None) is None:
                raise
            for work in good:  # one of them is at fault: the others do not fail with it
                with self._guarded(work):
                    self._compute_together([work])
            self._raise_failure()
        return group

    def _compute_together(self, batch: list[_Work]) -> None:
        values = self._task.compute([work.value for work in batch]) if batch else []
        for work, value in zip(batch, list(values), strict=True):
            work.value = value

    def _hand_on(self, group: list[_Work]) -> None:
        self._raise_failure()
        for work in group:
            with starting_threads():
                self._encoders.submit(self._finish, work)

    def _finish(self, work: _Work) -> None:
        outcome: Outcome | None = None  # where the whole run fails
        with self._guarded(work):
            if work.error is None:
                assert work.made_of is not None
                made = work.made
                if made is None:
                    made = self._task.finish(work.photo, work.value, work.item.outputs)
                files: tuple[str, ...] = ()
                if made.files:
                    files = self._results.write(work.made_of, self._settings, made)
                outcome = Outcome(work.item.source, "done", files, facts=made.facts)
        if work.error is not None:
            outcome = Outcome(work.item.source, "failed", error=work.error)
        self._budget.give_back(work.pixels)
        if outcome is not None:
            self._note(work.index, outcome)

    def _note(self, index: int, outcome: Outcome) -> None:
        try:
            with self._lock:
                self._outcomes[index] = outcome
                self._on_outcome(outcome)
        except BaseException as error:  # of who is told: no picture's fault
            self._failure = self._failure or error

    @contextmanager
    def _guarded(self, work: _Work) -> Iterator[None]:
        """What one picture leads to is noted; what all of them would lead to ends the run."""
        try:
            yield
        except BaseException as error:
            work.error = _reason(error, work.item)
            if work.error is None:
                self._failure = self._failure or error

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


def _reason(error: BaseException, item: Item | None) -> str | None:
    """Why one picture failed, on one line; None for what fails all of them.

    Those are failures of the device and of the machine, and what is no Exception, as Ctrl-C. Any
    other exception is one picture's, whatever it is: libraries raise all kinds for odd files.
    """
    if isinstance(error, DeviceError) or not isinstance(error, Exception):
        return None
    if isinstance(error, FacegenError):
        return " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return "out of memory"
    if isinstance(error, OSError):
        if error.errno in MACHINE_ERRORS:
            return None
        reason = error.strerror or str(error)
        own = error.filename is None or (item is not None and error.filename == item.source)
        return " ".join((reason if own else f"{error.filename}: {reason}").split())
    return " ".join([type(error).__name__ + (":" if str(error) else ""), *str(error).split()])
