"""facegen generate: faces from seeds or latent vectors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack

import click

from facegen.cli import options
from facegen.cli.seeds import Seeds

CHUNK = 256  # faces computed and written at a time


class Grid(click.ParamType):
    """A click type: '4x3' to (columns, rows)."""

    name = "grid"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", str(value))
        if match is None:
            self.fail(f"{value!r} is no grid; write COLUMNSxROWS, as 4x3", param, ctx)
        return int(match[1]), int(match[2])


@click.command(
    "generate",
    epilog=options.examples(
        "facegen generate --seeds 0-15 -o faces.png",
        "facegen generate --network network.bin --seeds 0-15 -o faces.png",
        "facegen generate --network network.bin --seeds 0-7 --grid 8x1 -o row.bmp",
        "facegen generate --network network.bin --seeds 0-99 -o faces/",
        "facegen generate --network network.bin --seeds 3,17 -o 'face-{seed:04d}.png'",
        "facegen generate --network network.bin --latents input.txt -o faces.npy",
        "facegen generate --seeds 0-999999 --shard 3/8 -o 'faces-{shard}.npy'",
    ),
)
@options.network
@click.option("-s", "--seeds", type=Seeds(), help="0-15, 0-3,9 or 7: one face a seed.")
@click.option("--latents", type=click.Path(), help="Latent vectors from a text or .npy file.")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(),
    help="A .png or .bmp (all faces in a grid), a folder or a name with {seed} or {index} (one "
    "file a face), or a .npy (n, 64, 64, 3) of floats.",
)
@click.option("--grid", type=Grid(), help="COLUMNSxROWS of the picture; square if not given.")
@click.option("--save-latents", type=click.Path(), help="Write the latents too (.npy, or text).")
@click.option(
    "--shard",
    metavar="i/n",
    help="Make part i, from 0, of n of the seeds; auto: by the task of a Slurm job array or of "
    "srun. {shard} in names is i.",
)
@options.overwrite
@options.device
@options.common
def command(
    network: str | None,
    seeds: list[int] | None,
    latents: str | None,
    output: str,
    grid: tuple[int, int] | None,
    save_latents: str | None,
    shard: str | None,
    overwrite: bool,
    device: str,
    threads: int | None,
    precision: str,
    quiet: bool,
) -> None:
    """Make faces of seeds, or of latent vectors from a file.

    A seed gives the same face whatever other seeds it comes with. Existing files are not replaced
    without --overwrite.
    """
    if (seeds is None) == (latents is None):
        raise click.UsageError("name either --seeds or --latents")
    if shard is not None:
        seeds, output, save_latents = _share(shard, seeds, output, save_latents)
        if not seeds:
            return  # fewer seeds than shards
    inputs = {"--network": network or "default"} | ({"--latents": latents} if latents else {})
    outputs = {"--output": output} | ({"--save-latents": save_latents} if save_latents else {})
    options.check_distinct(inputs, outputs)

    import numpy as np

    from facegen import Generator, parallel
    from facegen.cli.progress import progress
    from facegen.media.face_files import FaceFiles
    from facegen.media.latents import LatentWriter, open_latents
    from facegen.networks.dcgan import latents as latents_of
    from facegen.pipeline import run_pipeline

    with ExitStack() as stack:
        warnings: list[str] = []
        chunks: Iterator[np.ndarray]
        if seeds is not None:
            count = len(seeds)
            chunks = (latents_of(seeds[i : i + CHUNK]) for i in range(0, count, CHUNK))
        else:
            reader = open_latents(str(latents))
            stack.enter_context(reader)
            count, chunks, warnings = reader.count, reader.chunks(CHUNK), reader.warnings
        files = FaceFiles.plan(output, seeds, count, grid)
        if not overwrite:
            for path in [*files.paths, *([save_latents] if save_latents else [])]:
                options.refuse_existing(path)
        generator = Generator(network, device=device, threads=threads, precision=precision)
        write = stack.enter_context(files.open())
        saved = stack.enter_context(LatentWriter(save_latents, count)) if save_latents else None
        advance = stack.enter_context(progress(count, "faces", quiet))

        def read() -> Iterator[np.ndarray]:
            for chunk in chunks:
                if saved is not None:
                    saved.write(chunk)
                yield chunk

        def sink(faces: np.ndarray) -> None:
            write(faces)
            advance(len(faces))

        # A shard is this process's alone, even where several were started together.
        (parallel.run if shard is None else run_pipeline)(read(), generator, sink)
    for warning in warnings:
        options.warn(warning)
    if not quiet:
        runner = generator.runner
        what = "1 face" if count == 1 else f"{count:,} faces"
        click.echo(f"{output}: {what}, on {runner.device} ({runner.isa}, {runner.threads} threads)")


def _share(
    shard: str, seeds: list[int] | None, output: str, save_latents: str | None
) -> tuple[list[int], str, str | None]:
    """This process's seeds, and names that other shards do not write."""
    import os

    from facegen.parallel import find_shard, split

    if seeds is None:
        raise click.UsageError("--shard takes --seeds")
    part, parts = find_shard(shard, os.environ)
    each = output.endswith("/") or os.path.isdir(output) or "{seed" in output
    for name in (None if each else output, save_latents):
        if name is not None and "{shard}" not in name:
            raise click.UsageError(f"{name}: all shards would write it; put {{shard}} in the name")
    share = split(len(seeds), parts)[part]
    own = [seeds[i] for i in share]
    if save_latents is not None:
        save_latents = save_latents.replace("{shard}", str(part))
    return own, output.replace("{shard}", str(part)), save_latents
