"""facegen train digits IMAGES LABELS: a classifier of handwritten digits."""

from __future__ import annotations

from typing import Any

import click

from facegen.cli import options, terminal, training
from facegen.cli.derived import DerivedOption
from facegen.cli.train import check_network_file


@click.command(
    "digits",
    cls=training.OnRanks,
    epilog=options.examples(
        "facegen train digits train-images-idx3-ubyte.gz train-labels-idx1-ubyte.gz",
        "facegen train digits images.idx labels.idx -o digits.safetensors --epochs 10 --seed 3",
        "facegen train digits images.idx labels.idx -o digits.safetensors --resume",
        "facegen train digits images.idx labels.idx -o digits.safetensors --device cuda",
        "mpirun -n 4 facegen train digits images.idx labels.idx -o digits.safetensors --threads 1",
        "mpirun -n 3 facegen train digits images.idx labels.idx --threads 1 --sync async",
        "facegen train digits images.idx labels.idx -o binary.npz --binary",
        "facegen digits seven.png -n digits.safetensors",
    ),
)
@click.argument("images", metavar="IMAGES.idx", type=click.Path())
@click.argument("labels", metavar="LABELS.idx", type=click.Path())
@click.option(
    "-o", "--output", type=click.Path(), default="digits.safetensors", show_default=True,
    cls=DerivedOption, help="The network: {written[lenet]} by its extension.",
)
@options.half
@click.option(
    "--held-out", type=click.IntRange(1), default=1000, show_default=True,
    help="Images that are not trained on; always the same for a number of images.",
)
@click.option("--epochs", type=click.IntRange(1), default=40, show_default=True)
@click.option("--batch", type=click.IntRange(1), default=64, show_default=True)
@training.seed
@click.option(
    "--learning-rate", type=options.FiniteRange(0, min_open=True), default=1e-3, show_default=True
)
@click.option(
    "--binary", is_flag=True,
    help="A network of signs, a bit a weight (docs/learn/precision.md); on the CPU.",
)
@training.threads
@training.device
@training.sync
@training.shares
@training.folder
@training.resume
@options.overwrite
@options.common
def command(
    images: str,
    labels: str,
    output: str,
    half: bool,
    threads: int | None,
    device: str,
    sync: str,
    folder: str | None,
    resume: bool,
    overwrite: bool,
    **choices: Any,
) -> None:
    """Train the digit classifier on images and labels as MNIST's: IDX files, gzipped or not.

    Images are 28x28, light on black. A thousand of them are held out; how many of these the result
    reads rightly is printed last, on standard output. The result does not depend on the threads.
    Ctrl-C saves the state in the run's folder, from where --resume goes on. Several ranks of mpirun
    or srun share every batch, and the result is that of one; or they do not: see --sync. With
    --device cuda each has a GPU, also those of `facegen launch` and torchrun. With --binary all
    products but the first layer's are of +1 and -1; as .npz such a network is smallest.
    """
    from facegen import weights
    from facegen.networks import NETWORKS
    from facegen.numbers import idx
    from facegen.train import finished
    from facegen.train import ranks as train_ranks
    from facegen.train.digits.train import DigitSettings, check, train

    network = "lenet-binary" if choices["binary"] else "lenet"
    with training.ranks(sync) as ranks:
        with train_ranks.alike(ranks):
            check_network_file(output, network, half, overwrite)
            if choices["binary"]:
                if ranks is not None or device not in ("auto", "cpu"):
                    raise click.UsageError("--binary trains on one CPU: no GPU, and no other ranks")
                device = "cpu"
            device = training.choose_device(device, ranks)
            answers = idx.read(labels, dimensions=1)
            shown = idx.read(images, dimensions=3)
            check(shown, answers)
            training.tell_device(device)
        settings, reports = DigitSettings(**choices), training.reports(output, folder, ranks=ranks)
        trained = train(
            shown, answers, settings, threads, reports, resume, overwrite, ranks, device
        )
    if ranks is not None and not ranks.first:
        return
    weights.write(output, NETWORKS[network], trained.weights, half)
    finished(reports)
    if not terminal.is_quiet():
        right, count = trained.correct(answers), len(trained.held_out)
        terminal.say(f"{output}: {right:,} of {count:,} held out right ({right / count:.2%})")
        training.next_step("facegen digits PICTURE -n FILE", output)
