"""facegen train SOURCE: faces, or whatever else one has pictures of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from facegen.cli import options, terminal
from facegen.cli.derived import DerivedOption
from facegen.cli.terminal import counted
from facegen.cli.train import require_torch

SMALL_SET = 10_000  # pictures; sets below are augmented unless --augment says otherwise


@click.command(
    "faces",
    cls=options.BareCommand,
    epilog=options.examples(
        "facegen train pictures/ -o network.bin",
        "facegen train faces.npy -o network.bin --steps 40000 --batch 256",
        "facegen train mine/ -o mine.bin --init network.bin --freeze 2 --steps 2000",
        "facegen train pictures/ -o network.bin --resume",
        "torchrun --nproc-per-node 4 -m facegen train faces.npy -o network.bin",
    ),
)
@click.argument("source", metavar="FOLDER|FILE.npy", type=click.Path())
@click.option(
    "-o", "--output", type=click.Path(), default="network.bin", show_default=True,
    cls=DerivedOption, help="The network: {written[dcgan]} by its extension.",
)
@click.option(
    "--folder", type=click.Path(),
    help="For checkpoint, log and sample grids; the output's name with .run if not given.",
)
@click.option("--resume", is_flag=True, help="Go on from the folder's checkpoint.")
@click.option("--init", type=click.Path(), help="Start from these weights (transfer learning).")
@click.option(
    "--freeze", type=click.IntRange(0, 4), default=0, show_default=True,
    help="Layers of the generator, from the first, that stay as they are.",
)
@click.option("--steps", type=click.IntRange(1), default=20_000, show_default=True)
@click.option(
    "--batch", type=click.IntRange(2), default=256, show_default=True,
    help="Pictures a step, over all GPUs.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True)
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
    "--average", type=click.IntRange(1), default=100_000, show_default=True,
    help="Half life of the weights' moving average, in pictures.",
)
@click.option(
    "--width", type=click.IntRange(1), default=64, show_default=True,
    help="Channels of the discriminator's first layer.",
)
@click.option(
    "--statistics", type=click.IntRange(1), default=4096, show_default=True,
    help="Latents over which the batch norms of the result are measured.",
)
@click.option("--log-every", type=click.IntRange(1), default=100, show_default=True)
@click.option("--sample-every", type=click.IntRange(1), default=1000, show_default=True)
@click.option("--save-every", type=click.IntRange(1), default=1000, show_default=True)
@click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.",
    shell_complete=options.one_of("auto", "cpu", "cuda"),
)
@options.overwrite
@options.common
def command(
    source: str,
    output: str,
    folder: str | None,
    resume: bool,
    init: str | None,
    augment: str,
    log_every: int,
    sample_every: int,
    save_every: int,
    device: str,
    overwrite: bool,
    **choices: Any,
) -> None:
    """Train a generator on a folder of pictures, or on a .npy of uint8 (n, 64, 64, 3).

    Pictures are turned upright, cut to their middle square and resized to 64x64; files that are no
    pictures are skipped and counted. Progress goes to standard error; the folder of the run gets a
    checkpoint, log.jsonl with its plot, and sample grids. Needs PyTorch.

    Other networks: `facegen train digits` and `facegen train segmentation`, with a --help of their
    own. A folder of such a name is written ./digits.
    """
    from pathlib import Path

    from facegen import FacegenError, weights
    from facegen.networks import NETWORKS

    require_torch()
    options.check_output(output, overwrite)
    weights.check_extension(output)

    from facegen.loading import read_network
    from facegen.train.data_parallel import join_ranks
    from facegen.train.faces.data import read_pictures
    from facegen.train.faces.log import Reports
    from facegen.train.faces.train import train
    from facegen.train.faces.trainer import DcganSettings, Trainer

    first_weights = None
    if init is not None:
        network, first_weights = read_network(init)
        if network.name != "dcgan":
            raise FacegenError(f"{init}: holds a {network.name} network, expected a dcgan network")
    elif choices["freeze"]:
        raise click.UsageError("--freeze keeps weights of --init, which is not given")
    with join_ranks(device) as ranks:

        def say(line: str) -> None:
            if ranks.first:
                terminal.progressed(line)

        def progress(entry: Mapping[str, Any]) -> None:
            say(progress_line(entry, choices["steps"]))

        pictures = read_pictures(source)
        for path, reason in pictures.skipped[:10]:
            say(f"skipped {path}: {reason}")
        found = counted(len(pictures), "picture")
        say(f"{found}, {len(pictures.skipped):,} skipped, on {ranks.device}")
        if augment == "auto":
            augment = "small" if len(pictures) < SMALL_SET else "none"
        settings = DcganSettings(augmentation=augment, **choices)
        run_folder = Path(folder or f"{output}.run")
        trainer = Trainer(pictures.pixels, settings, ranks, first_weights)
        reports = Reports(run_folder, log_every, sample_every, save_every, say=progress)
        trained = train(trainer, reports, resume)
        if ranks.first:
            weights.write(output, NETWORKS["dcgan"], trained)
            say(f"{output}: trained {counted(trainer.step, 'step')}, agrees with the engine")


def progress_line(entry: Mapping[str, Any], steps: int) -> str:
    """An entry of the log for people."""
    parts = [
        f"step {entry['step']:,}/{steps:,}",
        f"{entry['pictures_per_second']:,.0f} pictures/s",
        f"loss {entry['discriminator']:.3f} {entry['generator']:.3f}",
    ]
    if "swd" in entry:
        parts.append(f"swd {entry['swd']:.1f}, diversity {entry['diversity']:.2f}")
    return ", ".join(parts)
