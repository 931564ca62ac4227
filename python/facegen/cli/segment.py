"""facegen segment PICTURE... -o DIR: what is where in pictures."""

from __future__ import annotations

from typing import Any

import click

from facegen.cli import options, picture_options
from facegen.cli.shared import SharedCommand
from facegen.files.standard import is_stream


@click.command(
    "segment",
    cls=SharedCommand,
    epilog=options.examples(
        "facegen segment face.png -o parts/ --overlay --legend",
        "facegen segment street.jpg --network network.safetensors -o classes.png",
        "facegen segment photos/ -r --network network.safetensors -o classes/",
        "facegen segment photos/*.jpg -n network.safetensors -o out/ --overlay --areas --legend",
        "facegen segment photos/ -n network.safetensors -o out/ --masks --json report.json",
    ),
)
@picture_options.inputs
@click.option(
    "-n",
    "--network",
    type=click.Path(),
    shell_complete=options.networks,
    help="File of weights of the segmentation network, or of torchvision's FCNs and DeepLabV3s; "
    "the package's own if not given, which finds the parts of a face.",
)
@click.option("--overlay", is_flag=True, help="Also NAME_overlay: classes' colours on the picture.")
@click.option("--masks", is_flag=True, help="Also NAME_masks/CLASS.png: where each class is.")
@click.option("--areas", is_flag=True, help="Also NAME_areas.json: pixels and share of each class.")
@click.option("--legend", is_flag=True, help="Also NAME_legend: colours, names and shares.")
@click.option(
    "--size",
    type=click.Choice(["trained", "own"]),
    default="trained",
    show_default=True,
    help="That pictures are computed at: what the network was trained at (227x227 or 520x520), or "
    "about their own (up to 1,024 pixels).",
)
@picture_options.frames
@picture_options.strip
@options.engine
@options.common
def command(
    network: str | None,
    overlay: bool,
    masks: bool,
    areas: bool,
    legend: bool,
    size: str,
    frames: str,
    strip: bool,
    engine: dict[str, Any],
    **files: Any,
) -> int:
    """Find the class of every pixel: the parts of a face, Pascal VOC's classes, or your own.

    PICTURE is a file, a folder or a glob ('-': standard input). The result is a PNG of the
    picture's own size whose pixel values are the classes, with VOC's palette. Pictures that are
    finished already are skipped; one that cannot be read fails alone.

    The report (--json) has the areas of every picture. --format is that of overlays and legends.
    Overlays keep the colour profile of their pictures, and what those say (EXIF and the like;
    --strip).
    """
    from facegen import FacegenError, Segmenter
    from facegen.cli import picture_run
    from facegen.cli.first_aid import introduce
    from facegen.cli.models import prepared
    from facegen.networks.files import resolve
    from facegen.pictures.items import is_folder
    from facegen.pictures.pages import Pages
    from facegen.pictures.segment import Parts, task

    output = files["output"]
    if not is_folder(output):
        if masks:
            raise FacegenError(f"{output}: is one file, and --masks makes several; name a folder")
        if not is_stream(output) and not output.lower().endswith(".png"):
            raise FacegenError(f"{output}: class maps are PNG; name a .png or a folder")
    pictures = picture_options.EXTENSIONS.get(files["format_"], ".png")
    parts = Parts(
        overlay=f"_overlay{pictures}" if overlay else None,
        areas="_areas.json" if areas else None,
        legend=f"_legend{pictures}" if legend else None,
        masks=masks,
    )
    file = str(resolve(network, "segmentation"))
    plan = picture_run.plan(parts.suffixes, **files)
    segmenter = prepared(Segmenter, file, engine)
    introduce(network, file, "segmentation")
    pages = Pages(frames == "first", is_folder(output))
    work = task(segmenter, parts, strip, size == "own", pages)
    return picture_run.carry_out(plan, work, segmenter.runner)
