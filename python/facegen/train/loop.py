"""The loop over the steps of a run: what every task's training shares.

    order = Order(len(images), batch=64, seed=0)
    loop = Loop(
        read=lambda step: order(step),
        step=lambda batch: {"loss": trainer.step(images[batch.samples], labels[batch.samples])},
        parts={"network": trainer},
        steps=40 * order.steps_per_epoch,
        images=64,
    )
    loop.run()

Everything random in a step is a function of the seed and the step, and rates are functions of the
step. So the state of the parts and the step's number are all that a checkpoint holds, and a run
that goes on from one gives the very bytes of one that was not stopped.

Steps run in a thread of their own and are never cut short; the caller waits, so that Ctrl-C reaches
it at once: the step ends, the state is saved.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

from facegen import processors
from facegen.errors import DeviceFailure, FacegenError
from facegen.pipeline import run_together
from facegen.train import log
from facegen.train.ahead import AHEAD, read_ahead
from facegen.train.checkpoint import Place, Stateful
from facegen.train.exchange import Exchange
from facegen.train.hooks import Enough, Every
from facegen.train.progress import Progress
from facegen.train.ranks import Ranks, of_all
from facegen.train.reports import LOG, SILENT, Reports
from facegen.train.running import Diverged
from facegen.train.saving import Saving
from facegen.train.trainer_state import MOST_STEPS

Item = TypeVar("Item")

MOST_TOGETHER = 128  # steps of one call, for whose end a signal waits


@dataclass
class Loop(Generic[Item]):
    """A run of training.

    Attributes
    ----------
    read
        Gives the batch of a step, from 0, as a function of its number: an `Order`, a `Reader`, or
        what calls one. Called ahead of the step, by several threads.
    step
        Changes the networks by a batch; returns losses by name, numbers or arrays of one an image.
        None where there is `several`.
    parts
        What learns, by name: trainers, and whatever else must go on where it was.
    steps, images
        Of the whole run; of a step.
    hooks
        Done in their order.
    settings
        JSON: what a run that goes on must have in common with the one that was stopped.
    epoch
        Steps of a pass over the set, for the log.
    ahead, workers, processes
        As for `read_ahead`; workers None: one a processor.
    ranks
        That run the same loop and share its batches. Rank 0 says and writes all, and goes on from
        the checkpoint; the reports of the others should be `SILENT`.
    exchange
        Of ranks that are asynchronous: rank 0 applies what `step` finds on the others, and calls
        the hooks. At the end all have rank 0's parts.
    several
        None, or `step` by batches that follow one another: as many as there are up to the next step
        after which something is due, such as a hook, an entry of the log or the end.
    """

    read: Callable[[int], Item]
    step: Callable[[Item], log.Losses] | None
    parts: Mapping[str, Stateful]
    steps: int
    images: int
    hooks: Sequence[Every] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    reports: Reports = SILENT
    epoch: int | None = None
    ahead: int = AHEAD
    workers: int | None = None
    processes: bool = False
    ranks: Ranks | None = None
    exchange: Exchange | None = None
    several: Callable[[Sequence[Item]], Sequence[log.Losses]] | None = None

    def __post_init__(self) -> None:
        if self.steps > MOST_STEPS:
            raise FacegenError(f"expected at most {MOST_STEPS:,} steps, not {self.steps:,}")
        if self.step is None and self.several is None:
            raise ValueError("step: expected a function, found None, and no several")
        self.place = Place()
        self._progress = Progress(self.reports, self.steps, self.images, self.epoch)
        self._stopping = threading.Event()
        self._failed = False
        self._left = False  # the steps, with all other ranks
        parts = {**self.parts, "log": self._progress.means}
        self._saving = Saving(self.reports, self.settings, parts)

    @property
    def checkpoint(self) -> Path | None:
        return self.reports.checkpoint

    def run(self, resume: bool = False, overwrite: bool = False) -> None:
        """Train to the last step.

        Parameters
        ----------
        resume
            Go on from the folder's checkpoint.
        overwrite
            Begin anew although there is one.

        Raises
        ------
        FacegenError
            Training diverged; or the folder holds a run and neither is set, or none where
            `resume` is.
        FormatError
            The checkpoint is damaged or does not fit.
        DeviceFailure
            A GPU is lost, or another call to it failed; the last checkpoint is left.
        MemoryError
            A step does not fit. As after all others, the last checkpoint is left.
        KeyboardInterrupt
            And other signals that raise: the state was saved after the step that was running.
        """
        if self.ranks is None or self.ranks.first:
            self.place = self._saving.begin(self.steps, resume, overwrite)
            if self.checkpoint is not None and self.reports.writes:
                self._progress.open(self.checkpoint.parent / LOG, self.place.step)
        self._tell_place()
        try:
            run_together([self._work], stop=self._stop)
            if self.ranks is not None and not self._is_done():
                raise KeyboardInterrupt  # the signal came to another rank
        except (KeyboardInterrupt, SystemExit) as error:
            if self._saving.saved is not None:
                where = f"{self.checkpoint} has the state after step {self._saving.saved:,}"
                self.reports.note(f"{where}: --resume goes on from there")
            if self._left:
                of_all(error)
            raise
        finally:
            self._progress.close()

    def _tell_place(self) -> None:
        """All ranks are where rank 0 is."""
        if self.ranks is None:
            return
        self.place = self.ranks.told(self.place)
        for part in self.parts.values():
            told = self.ranks.told(part.state_dict() if self.ranks.first else None)
            if not self.ranks.first:
                part.load_state_dict(told)

    def _is_done(self) -> bool:
        return self.place.ended or self.place.step == self.steps

    def _stop(self) -> None:
        """Called where a signal came, and where the work itself failed."""
        if not self._failed and not self._stopping.is_set():
            self.reports.note("stopping after this step; once more ends at once")
        self._stopping.set()

    def _is_stopping(self) -> bool:
        """Whether this step was the last: with ranks, of all as soon as one was told to stop."""
        stopping = self._stopping.is_set()
        if self.ranks is None or self.exchange is not None:
            return stopping
        return self.ranks.any(stopping)

    def _work(self) -> None:
        try:
            if self.exchange is None or self.exchange.ranks.first:
                self._train()
            else:
                self.exchange.batches(self._find)
            if self.exchange is not None:
                self._tell_place()
            self._left = True
        except DeviceFailure as error:
            self._failed = True
            kept = self._saving.kept("; --resume goes on from there")
            raise DeviceFailure(f"{error}{kept}") from error
        except BaseException:
            self._failed = True
            raise

    def _train(self) -> None:
        first, reports = self.place.step, self.reports
        if not self.place.ended and first < self.steps:
            reports.note(f"{self.steps - first:,} steps of {self.images:,}")
        self._progress.start(first, self.place.seconds)
        self._saving.wait(self._progress.pace.seconds)
        steps = range(self.steps if self.place.ended else first, self.steps)
        workers = processors.count() if self.workers is None else self.workers
        if first == 0:
            self._before_the_first()
        if self.exchange is not None:
            self.exchange.begin(steps)
        read: Callable[[int], Any] = self.read if self.exchange is None else int
        with closing(read_ahead(read, steps, self.ahead, workers, self.processes)) as items:
            while group := list(islice(items, self._next_due() - self.place.step)):
                self._learn_all(group)
                if self._is_stopping():
                    break
                if self.place.ended:
                    break
                if self._saving.is_due(self._progress.pace.seconds) and not self._is_done():
                    self._save()
                    self._saving.wait(self._progress.pace.seconds)
        if self._saving.saved != self.place.step:
            self._save()
        if self.exchange is not None:
            self.exchange.end()

    def _find(self, number: int) -> tuple[log.Losses, bool]:
        """A batch of a worker's, whose gradients its step keeps for rank 0."""
        return self._learn([self.read(number)])[0], self._stopping.is_set()

    def _learn(self, items: Sequence[Any]) -> Sequence[log.Losses]:
        """Losses by name, of each step or of what the next worker has sent."""
        try:
            if self.exchange is not None and self.exchange.ranks.first:
                losses, stopping = self.exchange.serve()
                if stopping:
                    self._stop()
                return [losses]
            self._progress.read(items)
            if self.several is not None:
                return self.several(items)
            assert self.step is not None
            return [self.step(item) for item in items]
        except Diverged as error:
            failure = FacegenError(
                f"training diverged: {error} (a lower learning rate may help{self._saving.kept()})"
            )
            if self.exchange is None:
                of_all(failure)
            raise failure from None

    def _before_the_first(self) -> None:
        entry: dict[str, Any] = {}
        for hook in self.hooks:
            if hook.at_start:
                with self._going_on():
                    entry |= hook.do(0) or {}
        if entry:
            self._write({**self._progress.entry(), **entry})
        self._progress.pace.restart(0)

    def _next_due(self) -> int:
        """The step up to which nothing is to be done between steps."""
        step = self.place.step
        if self.several is None or self._saving.is_due(self._progress.pace.seconds):
            return step + 1
        dues = [self.reports.log_every, *(hook.steps for hook in self.hooks)]
        return min(self.steps, step + MOST_TOGETHER, *(step + due - step % due for due in dues))

    def _learn_all(self, items: Sequence[Any]) -> None:
        """The steps of these batches, and what is due after the last."""
        self._progress.learned(self._learn(items))
        step = self._progress.step
        entry: dict[str, Any] = {}
        ended = False
        for hook in self.hooks:
            if step % hook.steps and step != self.steps:
                continue
            entry = entry or self._progress.entry()
            try:
                with self._going_on():
                    entry |= hook.do(step) or {}
            except Enough as enough:
                ended = True
                entry |= enough.entry
                self.reports.note(str(enough))
        if not entry and (step % self.reports.log_every == 0 or step == self.steps):
            entry = self._progress.entry()
        if entry:
            self._write(entry)
            self._progress.pace.restart(step)
        self.place = Place(step, self._progress.pace.seconds, ended)

    def _write(self, entry: Mapping[str, Any]) -> None:
        with self._going_on():
            self._progress.write(entry)
        self.reports.entry(entry)

    def _save(self) -> None:
        with self._going_on():
            self._saving.save(self.place)

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        """What is written may fail, as on a full disk: what is learned is worth more."""
        try:
            yield
        except OSError as error:
            where = "" if error.filename is None else f"{error.filename}: "
            goes_on = not self._stopping.is_set() and self.place.step < self.steps
            after = "; training goes on" if goes_on else ""
            self.reports.warn(f"{where}{error.strerror or error}{after}")
