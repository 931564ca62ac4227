"""facegen train SOURCE: faces, or whatever else one has pictures of."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from facegen.cli import face_checks, face_trainers, options, terminal, training
from facegen.cli.derived import DerivedOption
from facegen.cli.terminal import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from facegen.train import Reports
    from facegen.train.faces.data import Pictures
    from facegen.train.faces.settings import FaceSettings

SMALL_SET = 10_000  # pictures; sets below are augmented unless --augment says otherwise


class _Command(training.OnRanks, options.BareCommand):
    """Of any number of ranks, which `facegen train` without a task is."""


@click.command(
    "faces",
    cls=_Command,
    epilog=options.examples(
        "facegen train pictures/ -o network.bin",
        "facegen train faces.npy -o network.bin --steps 40000 --width 64",
        "facegen train mine/ -o mine.bin --from network.bin --freeze 2 --steps 2000",
        "facegen train pictures/ -o network.bin --resume",
        "facegen train faces.npy -o network.bin --device cuda --batch 256 --width 64",
        "torchrun --nproc-per-node 4 -m facegen train faces.npy --backend torch --batch 1024",
        "facegen train classifier --help",
    ),
)
@click.argument("source", metavar="FOLDER|FILE.npy", type=click.Path())
@click.option(
    "-o", "--output", type=click.Path(), default="network.bin", show_default=True,
    cls=DerivedOption, help="The network: {written[dcgan]} by its extension.",
)
@click.option(
    "--from", "start", metavar="NETWORK", type=click.Path(), shell_complete=options.networks,
    help="Weights to start from (transfer learning): a file, or default, the package's own faces.",
)
@click.option(
    "--discriminator", metavar="FILE", type=click.Path(),
    help="Of an earlier run of this --width, whose folder has it: it goes on with what it knows.",
)
@click.option(
    "--freeze", type=click.IntRange(0, 4), default=0, show_default=True,
    help="Layers of the generator, from the first, that stay as they are.",
)
@click.option(
    "--size", type=click.Choice(["64", "128"]),
    callback=lambda context, parameter, size: int(size or 0),
    help="Of the faces, in pixels a side: 64, or what a .npy has, if not given.",
)
@click.option("--steps", type=click.IntRange(1), show_default="20000", help="Of both networks.")
@click.option(
    "--minutes", type=options.FiniteRange(0, min_open=True),
    help="As many steps as are done in this time, by the pace of some that are tried first.",
)
@click.option(
    "--batch", type=click.IntRange(2), default=64, show_default=True,
    help="Pictures a step, over all processes.",
)
@training.seed
@click.option(
    "--augment", type=click.Choice(["auto", "none", "small"]), default="auto", show_default=True,
    help=f"What the discriminator sees changed; auto is small below {SMALL_SET:,} pictures.",
)
@click.option("--flip/--no-flip", default=True, show_default=True, help="Show mirror images too.")
@click.option(
    "--learning-rate", type=options.FiniteRange(0, min_open=True), default=2e-4, show_default=True
)
@click.option(
    "--penalty", type=options.FiniteRange(0), default=1.0, show_default=True,
    help="Weight of the gradient penalties; more is steadier and slower.",
)
@click.option(
    "--penalty-end", type=options.FiniteRange(0),
    help="Their weight at the end, to which it goes along a cosine; as at the start if not given.",
)
@click.option(
    "--average", type=click.IntRange(1), default=100_000, show_default=True,
    help="Half life of the weights' moving average, in pictures.",
)
@click.option(
    "--width", type=click.IntRange(1, 100_000), default=32, show_default=True,
    help="Channels of the discriminator's 32x32 maps: 64 sees more and takes twice as long.",
)
@click.option(
    "--statistics", type=click.IntRange(1, 1_000_000), default=4096, show_default=True,
    help="Latents over which the batch norms of the result are measured.",
)
@click.option(
    "--precision", type=click.Choice(["strict", "float32", "bfloat16", "float16"]),
    default="strict", show_default=True,
    help="Of products (docs/training-gpu.md); 16 bits are quicker on Hopper GPUs, or by AMX.",
)
@click.option("--log-every", type=click.IntRange(1), default=100, show_default=True)
@click.option("--sample-every", type=click.IntRange(1), default=1000, show_default=True)
@click.option(
    "--measured", type=click.IntRange(2), default=2048, show_default=True,
    help="Pictures, and faces, that are compared with every sample.",
)
@training.threads
@training.backend
@training.shares
@training.folder
@training.resume
@options.overwrite
@options.common
def command(
    source: str,
    output: str,
    start: str | None,
    discriminator: str | None,
    size: int,
    steps: int | None,
    minutes: float | None,
    augment: str,
    log_every: int,
    sample_every: int,
    measured: int,
    threads: int | None,
    backend: str,
    device: str,
    folder: str | None,
    resume: bool,
    overwrite: bool,
    **choices: Any,
) -> None:
    """Train a generator on a folder of pictures, or on a .npy of uint8 (n, 64, 64, 3) or 128.

    Pictures are turned upright, cut to their middle square and resized; files that are no
    pictures are skipped and counted. Progress goes to standard error; the folder of the run gets
    log.jsonl with its plot and sample grids. Ctrl-C saves the state there, from where --resume goes
    on. The result does not depend on the threads. Several ranks of mpirun or srun share every
    batch, 8 pictures or more each, and the result is that of one. With --device cuda each has a
    GPU, also those of `facegen launch` and torchrun, and any share of a batch; see --shares.

    Other networks: `facegen train classifier` (classes of your own), `digits`, `pix2pix`,
    `colorizer` and `segmentation`, each with a --help of its own. A folder of such a name is
    written ./digits.
    """
    from facegen import weights
    from facegen.networks import dcgan
    from facegen.train import finished
    from facegen.train import ranks as train_ranks
    from facegen.train.faces.data import read_pictures
    from facegen.train.faces.settings import FaceSettings

    # PyTorch's trainer meets its own ranks.
    joined = training.ranks("tree") if backend == "native" else nullcontext()
    with joined as ranks:
        with train_ranks.alike(ranks):
            where = training.choose_backend(backend, device, ranks)
            if minutes is not None:
                face_checks.check_minutes(steps, backend, ranks)
            if backend == "torch":
                face_checks.check_torch(choices["precision"], discriminator, choices["shares"])
            options.check_output(output, overwrite)
            weights.check_extension(output)
            side, first_weights = _start(source, start, size, choices["freeze"])
            face_checks.check_size(side, output, backend)
            if backend == "native":
                face_checks.check_memory(side, choices, where)
                discriminator_init = _read_discriminator(discriminator, choices["width"], side)
                training.tell_device(where)
            pictures = read_pictures(source, side)
        settings = FaceSettings(
            augmentation=_augmentation(augment, pictures), steps=steps or 20_000, **choices
        )
        reports = training.reports(output, folder, ranks=ranks, log_every=log_every)
        if minutes is not None:
            settings = _within(
                minutes, pictures, settings, reports, threads, where, resume, overwrite
            )
        run = {
            "sample_every": sample_every, "quality_pictures": measured, "threads": threads,
            "resume": resume, "overwrite": overwrite,
        }  # fmt: skip
        if backend == "torch":
            trained = face_trainers.by_torch(pictures, settings, first_weights, reports, where, run)
        else:
            trained = face_trainers.by_own_kernels(
                pictures, settings, first_weights, reports, where, run, ranks, discriminator_init
            )
    if trained is not None:
        weights.write(output, dcgan.network_of(side), trained)
        finished(reports)
        terminal.progressed(f"{output}: trained {counted(settings.steps, 'step')}")
        training.next_step("facegen generate -n FILE --seeds 0-63 -o faces.png", output)


def _augmentation(choice: str, pictures: Pictures) -> str:
    """What --augment is for so many pictures."""
    if choice != "auto":
        return choice
    return "small" if len(pictures) < SMALL_SET else "none"


def _start(
    source: str, start: str | None, size: int, freeze: int
) -> tuple[int, Mapping[str, np.ndarray] | None]:
    """The side of the faces, and the weights to start from."""
    from facegen import FacegenError
    from facegen.loading import read_network
    from facegen.networks import dcgan
    from facegen.train.faces.data import side_of

    weights = None
    if start is not None:
        network, weights = read_network(start)
        known = {dcgan.network_of(each).name: each for each in dcgan.SIDES}
        if known.get(network.name) is None or size not in (0, known[network.name]):
            expected = dcgan.network_of(size).name if size else " or ".join(known)
            raise FacegenError(
                f"{start}: holds a {network.name} network, expected a {expected} network"
            )
        size = known[network.name]
    elif freeze:
        raise click.UsageError("--freeze keeps weights of --from, which is not given")
    return side_of(source, size or None), weights


def _read_discriminator(
    path: str | None, width: int, side: int
) -> Mapping[str, np.ndarray] | None:
    """Its weights to start from; None where no file was named."""
    from facegen.train.faces import discriminator

    return None if path is None else discriminator.read(path, width, side)


def _within(
    minutes: float,
    pictures: Pictures,
    settings: FaceSettings,
    reports: Reports,
    threads: int | None,
    device: str,
    resume: bool,
    overwrite: bool,
) -> FaceSettings:
    """The settings with as many steps as take so long, or as the run that goes on has."""
    from dataclasses import replace

    from facegen.train.faces import time_limit

    assert reports.folder is not None and reports.checkpoint is not None
    if reports.checkpoint.exists() and not resume and not overwrite:
        return settings  # the run will be refused
    if resume:
        return replace(settings, steps=time_limit.kept(reports.folder))
    steps = time_limit.steps_within(60 * minutes, pictures.pixels, settings, threads, device)
    time_limit.keep(reports.folder, steps)
    reports.note(f"{minutes:g} minutes are {counted(steps, 'step')}")
    return replace(settings, steps=steps)
