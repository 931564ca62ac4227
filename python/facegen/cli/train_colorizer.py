"""facegen train colorizer PHOTOS: the colorizer, further or from nothing."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facegen.cli import options, terminal, training
from facegen.cli.terminal import counted
from facegen.cli.train import check_file_of_width

if TYPE_CHECKING:
    import numpy as np

    from facegen.train.colorizer.photos import Survey
    from facegen.train.ranks import Ranks

_RATES = {"from": 3e-5, "nothing": 1e-3}


@click.command(
    "colorizer",
    cls=training.OnRanks,
    epilog=options.examples(
        "facegen train colorizer photos/ --from colorizer -o mine.safetensors --epochs 5",
        "facegen train colorizer photos/ --width 16 --side 128 -o small.safetensors",
        "facegen train colorizer photos/ --batch 32 --device cuda",
        "mpirun -n 4 facegen train colorizer photos/ --batch 32 --threads 1",
        "facegen colorize old.jpg -o coloured.png -n mine.safetensors",
    ),
)
@click.argument("photos", metavar="PHOTOS...", nargs=-1, required=True, type=click.Path())
@click.option(
    "-o", "--output", type=click.Path(), default="colorizer.safetensors", show_default=True,
    help="The network: .bin, .npz or .safetensors of the published width, .safetensors or .onnx of "
    "another.",
)
@options.half
@click.option(
    "--from", "start", metavar="NETWORK",
    help="A network to train further, of any width: a file, default, the package's own, or "
    "colorizer, which facegen fetch got.",
)
@click.option(
    "--width", type=click.IntRange(1, 256),
    help="Channels of the first block: 64, or those of --from. A quarter takes a sixteenth of "
    "the time.",
)
@click.option(
    "--side", type=click.IntRange(32, 1024), default=256, show_default=True,
    help="Of the parts of photos that are shown, a multiple of 8.",
)
@click.option("--epochs", type=click.IntRange(1), default=100, show_default=True)
@click.option("--batch", type=click.IntRange(1), default=8, show_default=True)
@click.option(
    "--learning-rate", type=options.FiniteRange(0, min_open=True),
    help=f"At its highest; {_RATES['from']:g} with --from, else {_RATES['nothing']:g}.",
)
@click.option(
    "--weight-decay", type=options.FiniteRange(0), default=1e-3, show_default=True
)
@click.option(
    "--uniform", type=options.FiniteRange(0, 1, min_open=True), default=0.5, show_default=True,
    help="Rare colours count more, as published; the nearer to 1, the less, and the nearer to grey "
    "is what comes out.",
)
@click.option(
    "--temperature", type=options.FiniteRange(0, 1, min_open=True),
    show_default="0.38; 1 with --from default",
    help="Of the file's scores: 1 for the mean of the colours that are likely, which is off by "
    "least; below, bolder. With --from, name the one that its file was made with: no file records "
    "it, and another begins with scores too flat or too sharp.",
)
@click.option(
    "--mirror/--no-mirror", default=True, show_default=True, help="Show half of them mirrored.",
)
@click.option(
    "--zoom", type=options.FiniteRange(1, 8), default=1.0, show_default=True,
    help="Show photos enlarged by up to so much, at random.",
)
@click.option(
    "--held-out", type=click.IntRange(1),
    help="Photos that are not trained on, to measure; a tenth, at most 100, if not given.",
)
@training.seed
@training.threads
@training.device
@training.folder
@training.resume
@options.overwrite
@options.common
def command(
    photos: tuple[str, ...],
    output: str,
    half: bool,
    start: str | None,
    width: int | None,
    learning_rate: float | None,
    temperature: float | None,
    held_out: int | None,
    threads: int | None,
    device: str,
    folder: str | None,
    resume: bool,
    overwrite: bool,
    **choices: Any,
) -> None:
    """Train the colorizer on photos: with --from further, else from nothing.

    PHOTOS are folders, with all that is below them, files or globs. Grey photos are left out, and
    what cannot be read is skipped; both are counted. How far a and b of photos held out are off on
    average is printed last, on standard output, beside how far grey is; of several folders, for
    each as well. The result does not depend on the threads. Several ranks of mpirun or srun share
    every batch, 8 photos or more each, and the result is that of one.
    """
    from facegen.train import finished
    from facegen.train import ranks as train_ranks
    from facegen.train.colorizer.train import WIDTHS, ColorizerSettings, check, train

    with training.ranks("tree") as ranks:
        with train_ranks.alike(ranks):
            device = training.choose_device(device, ranks)
            weights, own = None, None
            if start is not None:
                own, weights = WIDTHS.read(start)
                width = own if width is None else width
            rate = learning_rate or _RATES["nothing" if start is None else "from"]
            settings = ColorizerSettings(
                width=width or WIDTHS.width, learning_rate=rate,
                temperature=temperature or _temperature(start), **choices,
            )  # fmt: skip
            try:
                check(settings, own)
            except ValueError as error:
                raise click.UsageError(str(error)) from None
            check_file_of_width(output, WIDTHS, settings.width, half, overwrite)
            training.tell_device(device)
        found = _survey(photos, weights, ranks)
        kept = held_out or min(100, max(1, len(found.photos) // 10))
        reports = training.reports(output, folder, ranks=ranks)
        result, shown = train(
            found, settings, kept, weights, threads, reports, resume, overwrite, device, ranks
        )
    if ranks is not None and not ranks.first:
        return
    WIDTHS.write(output, settings.width, result, half)
    finished(reports)
    if not terminal.is_quiet():
        _say_distances(output, photos, shown, threads, device)
        training.next_step("facegen colorize PHOTO -n FILE -o coloured.png", output)


def _temperature(start: str | None) -> float:
    """That of the network to train further, as far as it is known; else the published one."""
    from facegen.networks import default
    from facegen.networks.files import resolve
    from facegen.train.colorizer.train import TEMPERATURE

    if start is None:
        return TEMPERATURE
    own = default.path(default.FILES["colorizer"])
    return 1.0 if resolve(start, "colorizer") == own else TEMPERATURE


def _survey(
    photos: Sequence[str], weights: Mapping[str, np.ndarray] | None, ranks: Ranks | None
) -> Survey:
    """What there is of the photos, said; of ranks the first looks, and tells the others.

    `weights`: of the network to train further, whose colours are counted.
    """
    from facegen.cli.progress import progress
    from facegen.pictures import sources
    from facegen.train import ranks as train_ranks
    from facegen.train.colorizer.bins import Bins
    from facegen.train.colorizer.photos import survey
    from facegen.train.colorizer.train import points_of

    found = None
    with train_ranks.alike(ranks):
        if ranks is None or ranks.first:
            paths = [source.path for source in sources.find(photos, recursive=True).pictures]
            with progress(len(paths), "photos") as advance:
                found = survey(paths, Bins(points_of(weights)), advance)
    if ranks is not None:
        found = ranks.told(found)
    assert found is not None
    for reason in found.unreadable:
        terminal.warn(f"skipped {reason}")
    terminal.progressed(
        f"{counted(len(found.photos), 'photo')} in colour, {found.grey:,} grey, "
        f"{len(found.unreadable):,} unreadable"
    )
    return found


def _say_distances(
    network: str, photos: Sequence[str], shown: Sequence[str], threads: int | None, device: str
) -> None:
    """Say how far off a written network is on photos held out, and on those of each folder."""
    from facegen.train.colorizer.train import distances

    off, grey = distances(network, shown, threads, device)
    for name, of in [(network, [True] * len(shown)), *folders_of(photos, shown)]:
        terminal.say(
            f"{name}: a, b off by {off[of].mean():.2f} on {counted(sum(of), 'photo')} held out "
            f"({grey[of].mean():.2f} in grey)"
        )


def folders_of(given: Sequence[str], photos: Sequence[str]) -> list[tuple[str, list[bool]]]:
    """Which photos lie below each folder of several that were given, where any does."""
    if len(given) < 2:
        return []
    found = []
    for folder in filter(os.path.isdir, given):
        below = [Path(photo).is_relative_to(folder) for photo in photos]
        if any(below):
            found.append((folder, below))
    return found
