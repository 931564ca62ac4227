"""The checkpoint of a run: where the run goes on from, when it is saved, what is said of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from facegen.errors import FacegenError, FormatError
from facegen.train import checkpoint
from facegen.train.checkpoint import Place, Stateful
from facegen.train.reports import Reports


class Saving:
    """Of a run that `reports` have the folder of.

    Parameters
    ----------
    settings
        What a run that goes on must have in common with the one that was stopped.
    parts
        All that is saved, by name.

    Attributes
    ----------
    saved
        The step of the last checkpoint; None: there is none yet.
    """

    def __init__(
        self, reports: Reports, settings: Mapping[str, Any], parts: Mapping[str, Stateful]
    ) -> None:
        self._reports, self._settings, self._parts = reports, settings, parts
        self.saved: int | None = None
        self._due = 0.0

    def begin(self, steps: int, resume: bool, overwrite: bool) -> Place:
        """Where a run of so many steps begins: its parts are what they were there.

        Raises
        ------
        FacegenError
            The folder holds a run and neither `resume` nor `overwrite` is set, or none where
            `resume` is.
        FormatError
            The checkpoint is damaged or does not fit.
        """
        place = Place()
        path, writes = self._reports.checkpoint, self._reports.writes
        if path is None:
            if resume:
                raise FacegenError("there is no folder of a run to resume")
            return place
        if resume:
            place = checkpoint.read(path, self._settings, self._parts)
            if place.step > steps:
                found = f"{place.step:,}, of a run of {steps:,}"
                raise FormatError(f"{path}: not a checkpoint of this run: its step is {found}")
            self.saved = place.step
        elif path.exists() and not overwrite and writes:
            raise FacegenError(
                f"{path}: exists (--resume goes on from there, --overwrite begins anew)"
            )
        if writes:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not resume:
                path.unlink(missing_ok=True)
        return place

    def wait(self, seconds: float) -> None:
        """It is `seconds` into the run: the next checkpoint is due some time after."""
        self._due = seconds + self._reports.save_seconds

    def is_due(self, seconds: float) -> bool:
        """Whether that time has passed."""
        return seconds >= self._due

    def save(self, place: Place) -> None:
        """Write the checkpoint, where there is a folder; OSError as on a full disk."""
        path = self._reports.checkpoint
        if path is not None and self._reports.writes:
            checkpoint.write(path, place, self._settings, self._parts)
            self.saved = place.step

    def kept(self, more: str = "") -> str:
        """What is said of the last checkpoint where training fails."""
        return "" if self.saved is None else f"; the state of step {self.saved:,} is kept{more}"
