"""facegen pix2pix: the course's program on .rgb files, and pictures from pictures."""

from __future__ import annotations

import os
from functools import partial
from glob import has_magic
from typing import TYPE_CHECKING, Any

import click

from facegen.cli import options, picture_options, terminal
from facegen.cli.shared import SharedCommand
from facegen.files.standard import is_stream

if TYPE_CHECKING:
    from facegen.networks.pix2pix import Size


@click.command(
    "pix2pix",
    cls=SharedCommand,
    epilog=options.examples(
        "facegen pix2pix drawing.png -o portrait.png",
        "facegen pix2pix network.bin input.rgb output.rgb",
        "facegen pix2pix drawing.png -o cat.png --network edges2cats_AtoB.pict",
        "facegen pix2pix edges2cats_AtoB drawings/ -r -o cats/ --device cpu",
        "facegen pix2pix edges2cats drawing.png -o cat.png --size 512,768",
        "facegen pix2pix edges2cats sketch.gif -o cat.webp --size original",
    ),
)
@partial(picture_options.inputs, output_required=False, metavar="[NETWORK] PICTURE...")
@click.option(
    "-n",
    "--network",
    type=click.Path(),
    shell_complete=options.networks,
    help="File of weights, or name of a fetched network; the first of the names if not given and "
    "that is no picture, else the package's own.",
)
@click.option(
    "--size",
    metavar="256|HEIGHT,WIDTH|original|own",
    default="256",
    show_default=True,
    help="That pictures are computed at, multiples of 256; original: at 256x256, and resized to "
    "that of the picture; own: at the multiples next to that of the picture, and resized to it.",
)
@picture_options.frames
@picture_options.strip
@options.resume
@options.count_upload
@options.engine
@options.common
def command(
    pictures: tuple[str, ...],
    output: str | None,
    network: str | None,
    size: str,
    frames: str,
    strip: bool,
    resume: bool,
    count_upload: bool,
    engine: dict[str, Any],
    **files: Any,
) -> int:
    """Make pictures from pictures.

    NETWORK is a file of pix2pix weights (network.bin, .pict, .safetensors or .npz), a generator's
    checkpoint of pytorch-CycleGAN-and-pix2pix (latest_net_G.pth), or the name of a fetched network;
    --network may name it too. Where none is named, the package's own small network makes portraits
    of line drawings.

    With -o, PICTURE... are pictures, folders or globs. The network sees them resized to 256x256;
    what is transparent becomes white. Results of --size original say what their pictures say (EXIF
    and the like; --strip).

    Without -o it is the course's program: the two files after NETWORK are its input and its output,
    pictures of 256x256 RGB, 196,608 bytes each, one after another; '-' is standard input or output.
    The elapsed time is that of the computation alone. (Runs with -o resume by themselves.)
    """
    from facegen.networks.files import resolve

    if network is None and not (output is not None and _is_source(pictures[0])):
        network, pictures = pictures[0], pictures[1:]
    file = str(resolve(network, "pix2pix"))
    if output is None:
        for_pictures = size != "256" or strip or frames != "all"
        if len(pictures) != 2 or for_pictures or picture_options.any_given(**files):
            raise click.UsageError("expected NETWORK INPUT.rgb OUTPUT.rgb, or pictures and -o DIR")
        if _is_picture(pictures[0]):
            raise click.UsageError(f"{pictures[0]}: is named as a picture, whose result takes -o")
        _run_program(file, *pictures, resume, count_upload, engine)
        return 0
    if _is_picture(file) or not pictures:
        raise click.UsageError(f"expected NETWORK, or --network, and pictures; found {file}")

    from facegen import Pix2Pix
    from facegen.cli import picture_run
    from facegen.cli.first_aid import introduce
    from facegen.cli.models import prepared
    from facegen.pictures.items import is_folder
    from facegen.pictures.pages import Pages
    from facegen.pictures.pix2pix import task

    computed = _size(size)
    plan = picture_run.plan([""], pictures, output, **files)
    model = prepared(Pix2Pix, file, engine)
    introduce(network, file, "pix2pix")
    pages = Pages(frames == "first", is_folder(output))
    work = task(model, size in ("original", "own"), strip, computed, pages)
    return picture_run.carry_out(plan, work, model.runner)


def _size(word: str) -> Size:
    """What --size says of computing."""
    if word == "own":
        return "own"
    sides = ["256"] if word == "original" else word.split(",")
    numbers = [int(side) if side.isdecimal() and len(side) < 6 else 0 for side in sides]
    if len(numbers) > 2 or not all(n and n % 256 == 0 for n in numbers):
        raise click.UsageError(
            f"--size: expected multiples of 256 as HEIGHT,WIDTH, original or own, found {word!r}"
        )
    return numbers[0], numbers[-1]


def _is_source(name: str) -> bool:
    """Whether a name is no network's: a picture, a folder, a glob or standard input."""
    from facegen import hub
    from facegen.networks import default

    if name in default.FILES.values() or hub.find(name):
        return False
    return _is_picture(name) or os.path.isdir(name) or is_stream(name) or has_magic(name)


def _is_picture(name: str) -> bool:
    from facegen.photos.photo import readable_extensions

    return os.path.splitext(name)[1].lower() in readable_extensions()


def _run_program(
    network: str,
    input_: str,
    output: str,
    resume: bool,
    count_upload: bool,
    engine: dict[str, Any],
) -> None:
    """Translate one .rgb file into another, in bounded memory."""
    from facegen import Pix2Pix
    from facegen.cli.bare_program import run_shown, say_model
    from facegen.cli.models import prepared
    from facegen.files.standard import input_file
    from facegen.media.rgb import RgbReader
    from facegen.runs.bare_files import BareRun

    options.check_distinct({"NETWORK": network, "INPUT": input_}, {"OUTPUT": output})
    with RgbReader(input_file(input_)) as pictures:
        model = prepared(Pix2Pix, network, engine)
        say_model(network, model)
        resumed_of = network if resume else None
        warm_up = partial(model.runner.warm_up, pixels=True, as_pixels=True)
        run = BareRun(pictures, output, model, model.pixels, None, resumed_of, warm_up)
        rate = run_shown(run, input_, output, resume, options.uploading(model.runner, count_upload))
    terminal.say(f"Throughput : {rate:.6f} img / sec")
