"""Training pix2pix on pairs of pictures, and how far what it makes is from what is right."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facegen.engine import Runner
from facegen.engine.device import CPU
from facegen.errors import FormatError
from facegen.media import pictures
from facegen.networks import NETWORKS, pix2pix
from facegen.networks.pix2pix import IMAGE
from facegen.nn import lower
from facegen.train import SILENT, Every, Loaded, Loop, Order, Reader, Reports
from facegen.train.folders import digest_of_names
from facegen.train.memory import check_run
from facegen.train.network_files import Widths
from facegen.train.pix2pix import discriminator
from facegen.train.pix2pix.jitter import LARGER, jittered, values
from facegen.train.pix2pix.pairs import DIRECTIONS, Found, Pair, read
from facegen.train.pix2pix.players import Pix2PixSettings, Players, generator_graph
from facegen.train.ranks import Ranks
from facegen.train.split import split

WIDTHS = Widths(NETWORKS["pix2pix"], pix2pix.graph, pix2pix.WIDTH, "encoder_1.conv.weight")
SHOWN = 8  # pairs of a picture of samples


@dataclass(frozen=True)
class PairSample:
    """Reads a pair as training shows it: what goes in and what comes out, (side, side, 3)."""

    pairs: Sequence[Pair]
    side: int
    direction: str
    jitter: bool
    mirror: bool

    def __call__(self, sample: int, random: np.random.Generator) -> tuple[np.ndarray, ...]:
        larger = round(self.side * LARGER) if self.jitter else self.side
        pair = read(self.pairs[sample], larger, self.direction)
        return tuple(values(jittered(pair, self.side, random, self.mirror)))


def check(settings: Pix2PixSettings, width: int | None = None) -> None:
    """Raise ValueError for settings that no network has; `width`: of one to train further."""
    if settings.side < 1 or settings.side % IMAGE.height:
        raise ValueError(f"side: expected a multiple of {IMAGE.height}, found {settings.side}")
    if settings.direction not in DIRECTIONS:
        expected = " or ".join(DIRECTIONS)
        raise ValueError(f"direction: expected {expected}, found {settings.direction!r}")
    if width is not None and width != settings.width:
        raise ValueError(f"width: the network to train further has {width}, not {settings.width}")


@dataclass(frozen=True)
class HeldOut:
    """Pairs that are not trained on: (n, side, side, 3) uint8 each."""

    sources: NDArray[np.uint8]
    targets: NDArray[np.uint8]

    def distance(self, made: NDArray[np.uint8]) -> float:
        """The mean distance to what is right, of 255."""
        return float(np.abs(made.astype(np.int16) - self.targets).mean())


def read_held_out(
    pairs: Sequence[Pair], settings: Pix2PixSettings, warn: Callable[[str], None]
) -> HeldOut:
    """Those of some pairs that can be read; FormatError where there is none."""
    found = []
    for pair in pairs:
        try:
            found.append(read(pair, settings.side, settings.direction))
        except FormatError as error:
            warn(f"skipped {error}")
    if not found:
        raise FormatError(f"not one of {len(pairs):,} pairs held out can be read")
    both = np.stack(found, axis=1)
    return HeldOut(both[0], both[1])


def paint(
    weights: Mapping[str, np.ndarray],
    sources: NDArray[np.uint8],
    settings: Pix2PixSettings,
    threads: int | None = None,
    device: str = CPU,
) -> NDArray[np.uint8]:
    """What a generator makes of pictures (n, side, side, 3), uint8; without dropout."""
    graph = generator_graph(settings.width, settings.side)
    runner = Runner(lower(graph, dict(weights)), device=device, threads=threads)
    made: NDArray[np.uint8] = runner(sources, pixels=True, as_pixels=True)
    return made


def write_samples(path: Path, held_out: HeldOut, made: NDArray[np.uint8]) -> None:
    """A picture of a row a pair: what went in, what was made, what is right."""
    rows = np.stack([held_out.sources[: len(made)], made, held_out.targets[: len(made)]], axis=1)
    tiles = rows.reshape(-1, *rows.shape[2:])
    pictures.save(path, pictures.grid(tiles, len(made), 3))


def train(
    found: Found,
    settings: Pix2PixSettings,
    held_out: int,
    weights: Mapping[str, np.ndarray] | None = None,
    threads: int | None = None,
    reports: Reports = SILENT,
    sample_every: int = 1000,
    resume: bool = False,
    overwrite: bool = False,
    device: str = CPU,
    ranks: Ranks | None = None,
) -> tuple[dict[str, np.ndarray], HeldOut]:
    """Train on pairs, but for `held_out` of them.

    Parameters
    ----------
    weights
        Of a network to train further.
    sample_every
        Steps between pictures of samples, which go to the folder of `reports`.
    threads
        As for `facegen.train.Trainer`; the result does not depend on it.
    resume, overwrite
        As for `Loop.run`.
    device
        As for `facegen.train.Trainer`; samples are made there too.
    ranks
        That share every batch, which changes no bit of the result; all get it.

    Returns
    -------
    The generator's weights, and the pairs that were held out.

    Raises
    ------
    FacegenError
        Training diverged; no pair can be read; too many are held out; the machine has not the
        memory.
    """
    s, pairs = settings, found.pairs
    graphs = [
        generator_graph(s.width, s.side),
        discriminator.graph(s.side, s.discriminator_width or s.width),
    ]
    check_run(graphs, s.batch, 2 * IMAGE.channels * s.side**2, device)
    for path, reason in found.skipped:
        reports.warn(f"skipped {path}: {reason}")
    chosen, kept = split(len(pairs), held_out)
    shown = read_held_out([pairs[i] for i in kept], settings, reports.warn)
    sample = PairSample([pairs[i] for i in chosen], s.side, s.direction, s.jitter, s.mirror)
    order = Order(len(chosen), s.batch, s.seed)
    steps = s.epochs * order.steps_per_epoch
    players = Players(s, steps, weights, threads, device, ranks)

    def step(loaded: Loaded) -> dict[str, Any]:
        return players.step(*loaded.arrays)

    def show(done: int) -> dict[str, Any]:
        made = paint(players.weights, shown.sources[:SHOWN], s, threads, device)
        if reports.folder is not None:
            write_samples(reports.folder / f"samples-{done:06d}.png", shown, made)
        return {}

    loop = Loop(
        read=Reader(sample, order),
        step=step,
        parts={"generator": players.generator, "discriminator": players.discriminator},
        steps=steps,
        images=s.batch,
        hooks=[Every(sample_every, show)] if ranks is None or ranks.first else [],
        settings={
            **asdict(s),
            "pairs": digest_of_names(pair.name for pair in pairs),
            "held_out": held_out,
        },
        reports=reports,
        epoch=order.steps_per_epoch,
        workers=threads,
        ranks=ranks,
    )
    loop.run(resume, overwrite)
    return players.weights, shown
