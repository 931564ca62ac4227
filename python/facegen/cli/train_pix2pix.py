"""facegen train pix2pix PAIRS: a network that makes the second picture of a pair from the first."""

from __future__ import annotations

from typing import Any

import click

from facegen.cli import options, terminal, training
from facegen.cli.terminal import counted
from facegen.cli.train import check_file_of_width


@click.command(
    "pix2pix",
    cls=training.OnRanks,
    epilog=options.examples(
        "facegen train pix2pix facades/train -o facades.bin --direction BtoA",
        "facegen train pix2pix pairs/ -o mine.safetensors --width 16 --epochs 20",
        "facegen train pix2pix pairs/ -o mine.safetensors --from edges2cats_AtoB --epochs 10",
        "facegen train pix2pix pairs/ -o mine.safetensors --device cuda",
        "facegen pix2pix drawing.png -o picture.png -n mine.safetensors",
    ),
)
@click.argument("pairs", metavar="PAIRS", type=click.Path())
@click.option(
    "-o", "--output", type=click.Path(), default="pix2pix.safetensors", show_default=True,
    help="The network: .bin, .npz or .safetensors of the published width, .safetensors or .onnx of "
    "another.",
)
@options.half
@click.option(
    "--direction", type=click.Choice(["AtoB", "BtoA"]), default="AtoB", show_default=True,
    help="Which picture of a pair is made from which; A is on the left.",
)
@click.option(
    "--from", "start", metavar="NETWORK", help="A network to train further, of any width."
)
@click.option(
    "--width", type=click.IntRange(1, 256),
    help="Channels of the first layer: 64, or those of --from. A quarter takes a sixteenth of "
    "the time.",
)
@click.option(
    "--side", type=click.IntRange(256, 2048), default=256, show_default=True,
    help="Of the pictures in training, a multiple of 256 (facegen pix2pix --size).",
)
@click.option("--epochs", type=click.IntRange(1), default=200, show_default=True)
@click.option("--batch", type=click.IntRange(1), default=1, show_default=True)
@click.option(
    "--learning-rate", type=options.FiniteRange(0, min_open=True), default=2e-4, show_default=True,
    help="For the first half; then it falls to 0.",
)
@click.option(
    "--l1", type=options.FiniteRange(0), default=100.0, show_default=True,
    help="Weight of the distance to the right picture beside the discriminator's opinion.",
)
@click.option(
    "--dropout", type=options.FiniteRange(0, 1, max_open=True), default=0.5, show_default=True,
    help="Of the three innermost decoders, in training alone.",
)
@click.option(
    "--jitter/--no-jitter", default=True, show_default=True,
    help="Show pairs moved by up to a tenth of the side.",
)
@click.option(
    "--mirror/--no-mirror", default=True, show_default=True, help="Show half of them mirrored.",
)
@click.option(
    "--held-out", type=click.IntRange(1),
    help="Pairs that are not trained on, to measure and to look at; a tenth, at most 50, if not "
    "given.",
)
@training.seed
@click.option(
    "--sample-every", type=click.IntRange(1), default=1000, show_default=True,
    help="Steps between pictures of what is made of pairs held out.",
)
@training.threads
@training.device
@training.shares
@training.folder
@training.resume
@options.overwrite
@options.common
def command(
    pairs: str,
    output: str,
    half: bool,
    start: str | None,
    width: int | None,
    held_out: int | None,
    sample_every: int,
    threads: int | None,
    device: str,
    folder: str | None,
    resume: bool,
    overwrite: bool,
    **choices: Any,
) -> None:
    """Train pix2pix on pairs of pictures: a U-Net that makes one from the other.

    PAIRS is a folder of pictures that hold both side by side (A on the left), as the paper's data
    sets, or one with the folders A and B, where pictures of a pair have the same name. All are
    resized to squares. What cannot be read is skipped and counted.

    Pictures of pairs held out, of what the network makes of them and of what is right lie in the
    folder OUTPUT.run; how far it is off is printed last, on standard output. The result does not
    depend on the threads. Several ranks of mpirun or srun share every batch, 8 pairs or more each,
    and the result is that of one. With --device cuda each has a GPU, also those of `facegen launch`
    and torchrun, and any share of a batch; see --shares.
    """
    from facegen.train import finished
    from facegen.train import ranks as train_ranks
    from facegen.train.pix2pix.pairs import find
    from facegen.train.pix2pix.players import Pix2PixSettings
    from facegen.train.pix2pix.train import WIDTHS, check, paint, train

    with training.ranks("tree") as ranks:
        with train_ranks.alike(ranks):
            device = training.choose_device(device, ranks)
            weights = None
            if start is not None:
                own, weights = WIDTHS.read(start)
                width = own if width is None else width
            settings = Pix2PixSettings(width=width or WIDTHS.width, **choices)
            try:
                check(settings, None if start is None else own)
            except ValueError as error:
                raise click.UsageError(str(error)) from None
            check_file_of_width(output, WIDTHS, settings.width, half, overwrite)
            training.tell_device(device)
            found = find(pairs)
        kept = held_out or min(50, max(1, len(found.pairs) // 10))
        reports = training.reports(output, folder, ranks=ranks)
        result, shown = train(
            found, settings, kept, weights, threads, reports, sample_every, resume, overwrite,
            device, ranks,
        )  # fmt: skip
    if ranks is not None and not ranks.first:
        return
    WIDTHS.write(output, settings.width, result, half)
    finished(reports)
    if not terminal.is_quiet():
        off = shown.distance(paint(result, shown.sources, settings, threads, device))
        alone = shown.distance(shown.sources)
        terminal.say(
            f"{output}: off by {off:.1f} of 255 on {counted(len(shown.sources), 'pair')} held out "
            f"({alone:.1f} what they are made from)"
        )
        size = "" if settings.side == 256 else f" --size {settings.side}"
        training.next_step(f"facegen pix2pix PICTURE -n FILE -o made.png{size}", output)
