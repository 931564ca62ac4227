"""facegen pix2pix: the course's program on .rgb files, and pictures from pictures."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from facegen.cli import options, picture_options

if TYPE_CHECKING:
    from facegen.networks.pix2pix import Pix2Pix

CHUNK = 64  # pictures of a .rgb file at a time: 50 MB of values


@click.command(
    "pix2pix",
    epilog=options.examples(
        "facegen pix2pix network.bin input.rgb output.rgb",
        "facegen pix2pix drawing.png -o cat.png --network edges2cats_AtoB.pict",
        "facegen pix2pix edges2cats_AtoB drawings/ -r -o cats/ --device cpu",
    ),
)
@partial(picture_options.inputs, output_required=False, metavar="[NETWORK] PICTURE...")
@click.option(
    "-n",
    "--network",
    type=click.Path(),
    help="File of weights, or name of a fetched network; the first of the names if not given.",
)
@click.option(
    "--size",
    type=click.Choice(["256", "original"]),
    default="256",
    show_default=True,
    help="Of results: as the network makes them, or resized to that of the picture.",
)
@options.resume
@options.engine
@options.common
def command(
    pictures: tuple[str, ...],
    output: str | None,
    network: str | None,
    size: str,
    resume: bool,
    engine: dict[str, Any],
    quiet: bool,
    **files: Any,
) -> int:
    """Make pictures from pictures.

    NETWORK is a file of pix2pix weights (network.bin, .pict, .safetensors or .npz), or the name of
    a fetched network; --network may name it too.

    With -o, PICTURE... are pictures, folders or globs. The network sees them resized to 256x256;
    what is transparent becomes white.

    Without -o it is the course's program: the two files after NETWORK are its input and its output,
    pictures of 256x256 RGB, 196,608 bytes each, one after another; '-' is standard input or output.
    The elapsed time is that of the computation alone. (Runs with -o resume by themselves.)
    """
    from facegen import Pix2Pix
    from facegen.networks.files import resolve

    if network is None:
        network, pictures = pictures[0], pictures[1:]
    network = str(resolve(network, "pix2pix"))
    model = partial(Pix2Pix, network, **engine)
    if output is None:
        if len(pictures) != 2 or size != "256" or picture_options.any_given(**files):
            raise click.UsageError("expected NETWORK INPUT.rgb OUTPUT.rgb, or pictures and -o DIR")
        if _is_picture(pictures[0]):
            raise click.UsageError(f"{pictures[0]}: is named as a picture, whose result takes -o")
        _run_program(network, pictures[0], pictures[1], resume, model, quiet)
        return 0
    if _is_picture(network) or not pictures:
        raise click.UsageError(f"expected NETWORK, or --network, and pictures; found {network}")

    from facegen.pictures.translation import task

    plan = picture_options.plan([""], pictures, output, **files)
    generator = model()
    return picture_options.carry_out(
        plan, task(generator, size == "original"), generator.runner, quiet
    )


def _is_picture(name: str) -> bool:
    from facegen.media.photo import readable_extensions

    return os.path.splitext(name)[1].lower() in readable_extensions()


def _run_program(
    network: str,
    input_: str,
    output: str,
    resume: bool,
    make_model: Callable[[], Pix2Pix],
    quiet: bool,
) -> None:
    """From one .rgb file to another, in bounded memory."""
    from facegen import __version__
    from facegen.cli.raw_program import run_raw
    from facegen.media.pixels import to_uint8
    from facegen.media.rgb import RgbReader
    from facegen.media.standard import input_file

    options.check_distinct({"NETWORK": network, "INPUT": input_}, {"OUTPUT": output})

    def say(line: str) -> None:
        if not quiet:
            click.echo(line, err=output == "-")

    with RgbReader(input_file(input_)) as pictures:
        model = make_model()
        runner = model.runner
        say(f"facegen {__version__} on {runner.device} ({runner.isa}, {runner.threads} threads)")
        settings = {**model.arithmetic, "isa": runner.isa}
        done, there, elapsed = run_raw(
            pictures,
            network,
            output,
            pictures.chunks(CHUNK),
            CHUNK,
            model.values,
            to_uint8,
            settings,
            resume,
            say,
            quiet,
        )
    say(f"Input   : {input_} ({there + done:,} pictures)")
    say(f"Output  : {output}")
    say(f"Elapsed time : {elapsed:.6f} sec")
    say(f"Throughput : {done / elapsed if elapsed else 0.0:.2f} img / sec")
