"""facegen generate: faces from seeds or latent vectors."""

from __future__ import annotations

import re
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from facegen.cli import options, terminal
from facegen.cli.seeds import SeedList, Seeds
from facegen.cli.shared import SharedCommand
from facegen.cli.terminal import counted

if TYPE_CHECKING:
    from facegen.runs.face_sources import FaceSource


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


def _amounts(
    _context: click.Context, _parameter: click.Parameter, words: tuple[str, ...]
) -> dict[str, float]:
    if not words:
        return {}
    from facegen.networks.traits import parse

    try:
        return parse(words)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command(
    "generate",
    cls=SharedCommand,
    epilog=options.examples(
        "facegen generate --seeds 0-15 -o faces.png",
        "facegen generate --network network.bin --seeds 0-15 -o faces.png",
        "facegen generate --network network.bin --seeds 0-7 --grid 8x1 -o row.bmp",
        "facegen generate --network network.bin --seeds 0-99 -o faces/",
        "facegen generate --network network.bin --seeds 3,17 -o 'face-{seed:04d}.png'",
        "facegen generate --seeds 0-7 --trait smile=1.5 --trait age=-1 -o happier.png",
        "facegen generate --network network.bin --latents input.txt -o faces.npy",
        "facegen generate --seeds 0-999999 --shard 3/8 -o 'faces-{shard}.npy' --resume",
    ),
)
@options.network
@click.option("-s", "--seeds", type=Seeds(), help="0-15, 0-3,9 or 7: one face a seed.")
@click.option("--latents", type=click.Path(), help="Latent vectors from a text or .npy file.")
@click.option(
    "--trait", "traits", metavar="NAME=AMOUNT", multiple=True, callback=_amounts,
    help="Change a trait of all faces by so many standard deviations: smile=1.5. Names are those "
    "of the file beside the network (faces.traits.json).",
)
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(),
    help="A .png or .bmp (all faces in a grid), a folder or a name with {seed} or {index} (one "
    "file a face), or a .npy (n, height, width, 3) of floats.",
)
@click.option("--grid", type=Grid(), help="COLUMNSxROWS of the picture; square if not given.")
@click.option("--save-latents", type=click.Path(), help="Write the latents too (.npy, or text).")
@click.option(
    "--shard",
    metavar="i/n",
    help="Make part i, from 0, of n of the seeds; auto: by the task of a Slurm job array or of "
    "srun. {shard} in names is i.",
)
@options.resume
@options.overwrite
@options.engine
@options.common
def command(
    network: str | None,
    seeds: SeedList | None,
    latents: str | None,
    traits: dict[str, float],
    output: str,
    grid: tuple[int, int] | None,
    save_latents: str | None,
    shard: str | None,
    resume: bool,
    overwrite: bool,
    engine: dict[str, Any],
) -> None:
    """Make faces of seeds, or of latent vectors from a file.

    A seed gives the same face whatever other seeds it comes with. Existing files are not replaced
    without --overwrite. With --resume those stay that a run of the same network and options has
    finished, and a .npy that it has begun is gone on with.
    """
    from facegen.networks.files import resolve

    if (seeds is None) == (latents is None):
        raise click.UsageError("name either --seeds or --latents")
    if resume and overwrite:
        raise click.UsageError("--resume keeps what --overwrite replaces; name one of them")
    if save_latents is not None:
        options.refuse_dash(save_latents)
    share = (0, 1)
    if shard is not None:
        share, seeds, output, save_latents = _share(shard, seeds, output, save_latents)
        if not seeds:
            return  # fewer seeds than shards
    inputs = {"--network": str(resolve(network))} | ({"--latents": latents} if latents else {})
    outputs = {"--output": output} | ({"--save-latents": save_latents} if save_latents else {})
    options.check_distinct(inputs, outputs)

    from facegen import Generator
    from facegen.cli.models import prepared
    from facegen.cli.progress import progress
    from facegen.media.face_files import FaceFiles
    from facegen.numbers.latents import open_latents
    from facegen.runs.face_sources import FileSource, SeedSource
    from facegen.runs.faces import FaceRun

    with ExitStack() as stack:
        generator = prepared(Generator, network, engine)
        source: FaceSource
        if seeds is not None:
            source = SeedSource(seeds, generator.latents)
        else:
            reader = open_latents(str(latents), generator.latent_size)
            stack.enter_context(reader)
            source = FileSource(str(latents), reader)
        if traits:
            source = _moved(source, network, generator.latent_size, traits)
        files = FaceFiles.plan(output, seeds, source.count, grid, generator.image_shape)
        if not overwrite and not resume:
            for path in [*files.paths, *([save_latents] if save_latents else [])]:
                options.refuse_existing(path)
        # A shard is this process's alone, even where several were started together.
        there = FaceRun(
            source=source,
            files=files,
            generator=generator,
            grid=grid,
            save_latents=save_latents,
            share=share,
            resume=resume,
            progress=progress,
            on_ranks=shard is None,
        ).run()
    for warning in source.warnings:
        terminal.warn(warning)
    kept = f", {there:,} of them there already" if there else ""
    device = options.device_used(generator.runner)
    terminal.say(f"{output}: {counted(source.count, 'face')}{kept}, on {device}")


def _moved(
    source: FaceSource, network: str | None, size: int, amounts: dict[str, float]
) -> FaceSource:
    """The same latent vectors with traits changed."""
    import hashlib

    from facegen.networks.traits import directions
    from facegen.runs.face_sources import MovedSource

    shift = directions(network, size).shift(amounts)
    said = ", ".join(f"{name} {amount:+g}" for name, amount in amounts.items())
    digest = hashlib.sha256(shift.tobytes()).hexdigest()
    return MovedSource(source, shift.__add__, f"{said} ({digest[:16]})")


def _share(
    shard: str, seeds: SeedList | None, output: str, save_latents: str | None
) -> tuple[tuple[int, int], SeedList, str, str | None]:
    """Which share this process does, its seeds, and names that other shards do not write."""
    import os

    from facegen.parallel import find_shard
    from facegen.shares import share

    if seeds is None:
        raise click.UsageError("--shard takes --seeds")
    part, parts = find_shard(shard, os.environ)
    one_a_face = output.endswith("/") or os.path.isdir(output) or "{seed" in output
    if not one_a_face or "{shard}" in output:
        output = options.of_shard(output, part)
    if save_latents is not None:
        save_latents = options.of_shard(save_latents, part)
    own = share(len(seeds), part, parts)
    return (part, parts), seeds[own.start : own.stop], output, save_latents
