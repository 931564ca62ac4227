"""Training a DCGAN: the loop over the steps of a `Trainer`, and its checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from facegen.errors import FacegenError, FormatError, first_line
from facegen.files.atomic import AtomicFile
from facegen.train.faces import export
from facegen.train.faces.log import Log, Reports
from facegen.train.faces.trainer import FORMAT, Trainer


def train(
    trainer: Trainer, reports: Reports, resume: bool = False
) -> dict[str, np.ndarray]:
    """Train to the last step and return the canonical weights, checked against the engine.

    Raises
    ------
    FacegenError
        Training diverged; or the folder holds a run and `resume` is not set, or none and it is.
    FormatError
        The checkpoint is damaged, or of other settings.
    """
    checkpoint = reports.folder / "checkpoint.pt"
    if resume:
        trainer.load_state(_read_checkpoint(checkpoint), str(checkpoint))
    elif checkpoint.exists():
        raise FacegenError(f"{checkpoint}: exists (--resume goes on from there)")
    log = Log(reports, trainer) if trainer.ranks.first else None
    with torch.backends.cudnn.flags(enabled=True, benchmark=True):
        while trainer.step < trainer.settings.steps:
            losses = trainer.train_step()
            if log is not None:
                log.after_step(losses)
                last = trainer.step == trainer.settings.steps
                if trainer.step % reports.save_every == 0 or last:
                    with AtomicFile(checkpoint) as file:
                        torch.save(trainer.state(), file)
    export.refresh_statistics(trainer.average, trainer.settings.statistics)
    weights = trainer.average.canonical()
    export.check_against_engine(trainer.average, weights)
    return weights


def _read_checkpoint(path: Path) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise FacegenError(f"{path}: there is no run to resume") from None
    except Exception as error:  # whatever unpickling a damaged file raises
        raise FormatError(f"{path}: not a valid checkpoint: {first_line(error)}") from error
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise FormatError(f"{path}: not a checkpoint of this version of facegen")
    return state
