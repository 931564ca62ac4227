"""What is written while a DCGAN trains: a log with its plot, sample grids, measured quality."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from facegen.errors import FacegenError
from facegen.files import state
from facegen.files.atomic import AtomicFile
from facegen.files.json_text import json_text
from facegen.media import pictures as picture_files
from facegen.networks import dcgan as network
from facegen.train.faces import export, quality
from facegen.train.faces.data import to_values
from facegen.train.faces.trainer import Trainer

_SAMPLES = 64  # faces of the sample grid, of seeds 0 to 63


@dataclass(frozen=True)
class Reports:
    """What is written while training goes on; changes nothing of what comes out.

    Attributes
    ----------
    folder
        For the checkpoint, the log with its plot, and the sample grids.
    log_every, sample_every, save_every
        Steps between lines of the log; between grids with quality measured; between checkpoints.
    quality_pictures
        Real and generated pictures that are compared.
    say
        Called with every entry of the log.
    """

    folder: Path
    log_every: int = 100
    sample_every: int = 1000
    save_every: int = 1000
    quality_pictures: int = 2048
    say: Callable[[Mapping[str, Any]], None] = lambda entry: None


class Log:
    """Lines of JSON, sample grids and the plot, in the run's folder."""

    def __init__(self, reports: Reports, trainer: Trainer) -> None:
        self.reports, self.trainer = reports, trainer
        reports.folder.mkdir(parents=True, exist_ok=True)
        self.path = reports.folder / "log.jsonl"
        entries = _entries(self.path, trainer.step)
        with AtomicFile(self.path) as file:
            file.writelines(json_text(entry).encode() + b"\n" for entry in entries)
        self.seconds_before = entries[-1]["seconds"] if entries else 0.0
        self.start = self.mark = perf_counter()
        self.mark_step = trainer.step
        self.sums: dict[str, list[Tensor]] = {}

    def after_step(self, losses: Mapping[str, Tensor]) -> None:
        for name, loss in losses.items():
            self.sums.setdefault(name, []).append(loss)
        step, last = self.trainer.step, self.trainer.settings.steps
        sampled = step % self.reports.sample_every == 0 or step == last
        if sampled or step % self.reports.log_every == 0:
            self._write(self._entry() | (self._sample() if sampled else {}))
        if sampled:
            from facegen.train.faces.plot import draw_log

            draw_log(self.path, self.reports.folder / "log.png")

    def _entry(self) -> dict[str, Any]:
        means = {name: float(torch.stack(x).mean()) for name, x in self.sums.items()}
        self.sums = {}
        step, now = self.trainer.step, perf_counter()
        if not all(math.isfinite(mean) for mean in means.values()):
            raise FacegenError(f"training diverged before step {step}: {means}")
        rate = (step - self.mark_step) * self.trainer.settings.batch / (now - self.mark)
        self.mark, self.mark_step = now, step
        return {
            "step": step,
            "pictures": step * self.trainer.settings.batch,
            "seconds": round(self.seconds_before + now - self.start, 3),
            "pictures_per_second": round(rate, 1),
            **{name: round(mean, 5) for name, mean in means.items()},
        }

    def _sample(self) -> dict[str, float]:
        """Write a grid of samples and measure their quality; not counted in the rate."""
        trainer, count = self.trainer, self.reports.quality_pictures
        export.refresh_statistics(trainer.average, min(1024, trainer.settings.statistics))
        inputs = torch.from_numpy(network.latents(range(_SAMPLES)))
        save_grid(self.reports.folder / f"samples-{trainer.step:06d}.png", trainer.samples(inputs))
        random = torch.Generator().manual_seed(1)
        pixels = trainer.batches.pixels
        chosen = torch.randperm(len(pixels), generator=random)[:count]
        real = to_values(pixels[chosen.to(pixels.device)])
        fake = trainer.samples(export.latents(len(real), random))
        measured = quality.measure(real, fake) if len(real) > 1 else {}
        self.mark = perf_counter()
        return {name: round(value, 4) for name, value in measured.items()}

    def _write(self, entry: dict[str, Any]) -> None:
        with open(self.path, "a") as file:
            file.write(json_text(entry) + "\n")
        self.reports.say(entry)


def save_grid(path: Path, samples: Tensor) -> None:
    """Pictures (n, 3, 64, 64) as one square picture file."""
    side = math.ceil(math.sqrt(len(samples)))
    values = samples.permute(0, 2, 3, 1).cpu().numpy()
    picture_files.save(path, picture_files.grid(values, -(-len(values) // side), side))


def _entries(path: Path, step: int) -> list[dict[str, Any]]:
    """Lines of a log up to a step: those after it will be written anew. Damaged ones go."""
    entries = state.read_lines(path, follow=True) if step > 0 else []
    return [entry for entry in entries if _is_entry(entry) and entry["step"] <= step]


def _is_entry(entry: Mapping[str, Any]) -> bool:
    return isinstance(entry.get("step"), int) and isinstance(entry.get("seconds"), (int, float))
