"""What a run says and writes while it goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKPOINT, LOG = "checkpoint.safetensors", "log.jsonl"


@dataclass(frozen=True)
class Reports:
    """What is said and written while training goes on; changes nothing of what comes out.

    Attributes
    ----------
    folder
        For the checkpoint, the log and what hooks write; None: nothing is written.
    log_every
        Steps between entries of the log.
    save_seconds
        Between checkpoints; one more is written at the end.
    entry
        Called with every entry of the log.
    note, warn
        Called with lines for people.
    writes
        Whether this process writes into the folder. Of several that train together, one does; all
        go on from there.
    """

    folder: Path | None = None
    log_every: int = 100
    save_seconds: float = 300.0
    entry: Callable[[Mapping[str, Any]], None] = lambda entry: None
    note: Callable[[str], None] = lambda line: None
    warn: Callable[[str], None] = lambda line: None
    writes: bool = True

    @property
    def checkpoint(self) -> Path | None:
        return None if self.folder is None else self.folder / CHECKPOINT

    @property
    def log(self) -> Path | None:
        return None if self.folder is None else self.folder / LOG


SILENT = Reports()


def finished(reports: Reports) -> None:
    """What was made of the run is safe: its checkpoint goes."""
    if reports.checkpoint is not None:
        reports.checkpoint.unlink(missing_ok=True)
