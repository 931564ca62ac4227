"""facegen project: the latent vectors whose faces are nearest to given ones."""

from __future__ import annotations

import click

from facegen.cli import options, terminal, training
from facegen.cli.terminal import counted


@click.command(
    "project",
    epilog=options.examples(
        "facegen project me.png -o me.npy --picture beside.png",
        "facegen project a.png b.png c.png -o three.npy --steps 400",
        "facegen generate --latents me.npy --trait smile=2 -o smiling.png",
    ),
)
@click.argument("pictures", nargs=-1, required=True, type=click.Path())
@click.option(
    "-o", "--output", required=True, type=click.Path(),
    help="The latent vectors, one a picture: .npy, or text.",
)
@click.option(
    "--picture", type=click.Path(), help="Draw the pictures, and below them the faces found.",
)
@click.option(
    "--steps", type=click.IntRange(1, 100_000), default=150, show_default=True,
    help="Of the descent; more come nearer.",
)
@click.option(
    "--restarts", type=click.IntRange(1, 64), default=4, show_default=True,
    help="Places from which it starts; the nearest result counts.",
)
@options.network
@training.threads
@training.device
@options.overwrite
@options.common
def command(
    pictures: tuple[str, ...],
    output: str,
    picture: str | None,
    steps: int,
    restarts: int,
    network: str | None,
    threads: int | None,
    device: str,
    overwrite: bool,
) -> None:
    """Find the latent vectors whose faces are nearest to those of PICTURES.

    A picture is cut to the square in its middle. What the network cannot draw, as photographs,
    comes out as the most alike that it can. `facegen generate --latents` draws what was found.
    """
    outputs = {"--output": output} | ({"--picture": picture} if picture else {})
    options.check_distinct({f"PICTURE {name}": name for name in pictures}, outputs)
    for path in outputs.values():
        options.check_output(path, overwrite)
    where = training.choose_device(device)

    import numpy as np

    from facegen import FacegenError, Generator
    from facegen.media import pictures as files
    from facegen.numbers.latents import LatentWriter
    from facegen.train.faces.data import read_picture, to_values
    from facegen.train.faces.projection import Projector

    if picture is not None:
        files.encode(picture, np.zeros((1, 1, 3), np.uint8))  # refuse a name before computing
    generator = Generator(network, device=where, threads=threads)
    side, width, channels = generator.image_shape
    if side != width or channels != 3:
        raise FacegenError(
            f"{network}: expected square faces of three channels, found {generator.image_shape}"
        )
    shown = np.stack([read_picture(path, side) for path in pictures])
    found = Projector(generator, threads, where)(to_values(shown), steps, restarts)
    with LatentWriter(output, len(pictures), generator.latent_size) as writer:
        writer.write(found.latents)
    if picture is not None:
        both = np.concatenate([shown, generator.images(found.latents)])
        files.save(picture, files.grid(both, 2, len(shown)))
    for path, error in zip(pictures, found.errors, strict=True):
        terminal.say(f"{path}: off by {error:.1f} of 255 (root mean square)")
    terminal.say(f"{output}: {counted(len(pictures), 'latent vector')}")
