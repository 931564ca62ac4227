"""How far a run is: its pace, its log, and what is said of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from facegen.files.state import LineFile
from facegen.train import log
from facegen.train.pace import Pace, duration, is_long
from facegen.train.readers import Loaded, Unreadable
from facegen.train.reports import Reports


class Progress:
    """Of a run of so many steps.

    Parameters
    ----------
    images
        Of a step.
    epoch
        Steps of a pass over the set, or None.

    Attributes
    ----------
    means
        Of losses since the last entry; goes into a checkpoint.
    step
        How many are done.
    """

    pace: Pace

    def __init__(self, reports: Reports, steps: int, images: int, epoch: int | None) -> None:
        self._reports, self._steps, self._images, self._epoch = reports, steps, images, epoch
        self.means = log.Means()
        self.step = 0
        self._log: LineFile | None = None
        self._unreadable = Unreadable(reports.warn)

    def open(self, path: Path, step: int) -> None:
        """Go on with the log behind a step."""
        self._log = log.begin(path, step)

    def close(self) -> None:
        if self._log is not None:
            self._log.close()
            self._log = None

    def start(self, step: int, seconds: float) -> None:
        """The steps begin at this one, of a run that took so long up to there."""
        self.step = step
        self.pace = Pace(step, self._steps, self._images, seconds)

    def read(self, items: Sequence[Any]) -> None:
        """Batches have come; what could not be read is told and counted."""
        for item in items:
            if isinstance(item, Loaded):
                self._unreadable.add(item)

    def learned(self, losses: Sequence[log.Losses]) -> None:
        """So many steps more are done; says once how long the others take."""
        for each in losses:
            self.means.add(each)
        self.step += len(losses)
        seconds = self.pace.estimate(self.step)
        if seconds is None or self.step == self._steps:
            return
        line = f"{self._steps - self.step:,} steps more take about {duration(seconds)}"
        if is_long(seconds):
            self._reports.warn(f"{line}; Ctrl-C saves the state, --resume goes on")
        else:
            self._reports.note(line)

    def entry(self) -> dict[str, Any]:
        """For the log: the step, its pace, and the mean losses since the last."""
        epoch = {} if self._epoch is None else {"epoch": _shortest(self.step / self._epoch)}
        if self.step == 0:
            return {"step": 0, **epoch}
        means = {name: float(f"{mean:.6g}") for name, mean in self.means.take().items()}
        count = self._unreadable.count
        skipped = {"unreadable": count} if count else {}
        return {"step": self.step, **epoch, **self.pace.entry(self.step), **means, **skipped}

    def write(self, entry: Mapping[str, Any]) -> None:
        """A line of the log; OSError where there is no room."""
        if self._log is not None:
            self._log.append(entry)


def _shortest(number: float) -> float:
    """With three places at most, and none where it is whole."""
    return int(number) if number == int(number) else round(number, 3)
