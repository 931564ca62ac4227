"""A run of training faces: the loop over the steps, its log, sample grids and measured quality."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from facegen.engine.device import CPU
from facegen.files import state
from facegen.media import pictures as picture_files
from facegen.networks import dcgan
from facegen.train import charts, log
from facegen.train.checkpoint import Stateful
from facegen.train.faces import quality
from facegen.train.faces.data import to_values
from facegen.train.faces.settings import FaceSettings
from facegen.train.hooks import Every
from facegen.train.loop import Loop
from facegen.train.order import Batch, Order
from facegen.train.ranks import Ranks
from facegen.train.reports import LOG, SILENT, Reports

_SAMPLES = 64  # faces of the sample grid, of seeds 0 to 63
_LATENTS = 1024  # over which batch norms are measured for them
_FIRST_SEED = 10**6  # of measured faces: not those that the grid shows
_PANELS = (  # of log.png
    ("discriminator", "generator"),
    ("penalised", "penalty"),
    ("swd128", "swd64", "swd32", "swd16", "swd"),
    ("diversity", "nearest"),
)


class Player(Protocol):
    """Both networks, on whatever they compute: `Adversaries`, and PyTorch's."""

    @property
    def parts(self) -> Mapping[str, Stateful]: ...

    @property
    def begun_from(self) -> Mapping[str, str]:
        """Digests of the weights that it was told to start from: part of what a run is."""

    def read(self, batch: Batch) -> Any:
        """What `step` takes of a batch; may be called ahead of it, by several threads."""

    def step(self, shown: Any) -> log.Losses: ...

    def weights(self, count: int) -> dict[str, np.ndarray]:
        """Canonical weights of the result, its batch norms measured over so many latents."""

def train(
    adversaries: Player,
    pixels: NDArray[np.uint8],
    settings: FaceSettings,
    reports: Reports = SILENT,
    *,
    sample_every: int = 1000,
    quality_pictures: int = 2048,
    threads: int | None = None,
    device: str = CPU,
    resume: bool = False,
    overwrite: bool = False,
    ranks: Ranks | None = None,
) -> dict[str, np.ndarray]:
    """Train to the last step and return the canonical weights.

    Parameters
    ----------
    pixels
        (n, side, side, 3) uint8, those of the adversaries.
    sample_every
        Steps between grids of samples with quality measured, where there is a folder.
    quality_pictures
        Real and generated pictures that are compared.
    threads, device
        That generate them, as for `facegen.Generator`.
    reports, resume, overwrite
        As for `facegen.train.Loop`; the checkpoint of a run that has ended stays.
    ranks
        Those of the adversaries; all get the weights.

    Raises
    ------
    FacegenError, FormatError, MemoryError
        As for `facegen.train.Loop`.
    """
    hooks = []
    if reports.folder is not None and reports.writes:
        samples = _Samples(
            adversaries, pixels, settings, reports.folder, quality_pictures, threads, device
        )
        hooks.append(Every(sample_every, samples.draw))
    loop = loop_of(adversaries, pixels, settings, device, hooks, reports, ranks)
    loop.run(resume, overwrite)
    return adversaries.weights(settings.statistics)


def loop_of(
    adversaries: Player,
    pixels: NDArray[np.uint8],
    settings: FaceSettings,
    device: str = CPU,
    hooks: Sequence[Every] = (),
    reports: Reports = SILENT,
    ranks: Ranks | None = None,
) -> Loop[Any]:
    """The steps alone."""
    order = Order(len(pixels), settings.batch, settings.seed)
    known: dict[str, Any] = {}
    if reports.folder is not None:  # what a checkpoint is told by
        data = crc32(np.ascontiguousarray(pixels).data)
        known = {**asdict(settings), "data": data, **adversaries.begun_from}
    return Loop(
        lambda step: adversaries.read(order(step)),
        adversaries.step,
        adversaries.parts,
        settings.steps,
        settings.batch,
        hooks,
        settings=known,
        reports=reports,
        epoch=order.steps_per_epoch,
        # On a CPU the steps have its threads; of a GPU's steps they make ready what is shown.
        ahead=4 if device == CPU else 8,
        workers=1 if device == CPU else None,
        ranks=ranks,
    )


class _Samples:
    """What the averaged generator makes at the moment, drawn and measured."""

    def __init__(
        self,
        adversaries: Player,
        pixels: NDArray[np.uint8],
        settings: FaceSettings,
        folder: Path,
        count: int,
        threads: int | None,
        device: str,
    ) -> None:
        self.adversaries, self.folder = adversaries, folder
        self.threads, self.device = threads, device
        self.latents = min(_LATENTS, settings.statistics)
        random = np.random.default_rng(1)
        chosen = random.permutation(len(pixels))[:count]
        self.real = to_values(pixels[np.sort(chosen)])

    def draw(self, step: int) -> dict[str, Any]:
        weights = self.adversaries.weights(self.latents)
        generator = dcgan.Generator(weights, device=self.device, threads=self.threads)
        faces = generator.images(seeds=range(_SAMPLES))
        side = math.ceil(math.sqrt(_SAMPLES))
        path = self.folder / f"samples-{step:06d}.png"
        picture_files.save(path, picture_files.grid(faces, side, side))
        entries = list(state.read_lines(self.folder / LOG, follow=True))
        picture_files.save(self.folder / "log.png", charts.curves(entries, _PANELS, x="step"))
        if len(self.real) < 2:
            return {}
        fake = generator.generate(range(_FIRST_SEED, _FIRST_SEED + len(self.real)))
        measured = quality.measure(self.real, fake)
        return {name: round(value, 4) for name, value in measured.items()}
