"""Options of the commands that work through pictures; `picture_run` is what becomes of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from facegen.cli import options

EXTENSIONS = {
    "png": ".png", "jpg": ".jpg", "webp": ".webp", "tiff": ".tiff", "bmp": ".bmp", "gif": ".gif",
}  # fmt: skip

shard_option = click.option(
    "--shard",
    metavar="i/n",
    help="Do part i, from 0, of n; auto: by the task of a Slurm job array or of srun. {shard} in "
    "the name of a report is i.",
)


def _set_max_pixels(context: click.Context, option: click.Parameter, value: int | None) -> None:
    """Of this whole process, as Pillow has it; each rank is given the same command line."""
    if value is not None:
        from PIL import Image

        Image.MAX_IMAGE_PIXELS = value


max_pixels = click.option(
    "--max-pixels",
    type=click.IntRange(1),
    expose_value=False,
    callback=_set_max_pixels,
    help="The largest picture that is read; Pillow's limit, 89,478,485, if not given.",
)

frames = click.option(
    "--frames",
    type=click.Choice(["all", "first"]),
    default="all",
    show_default=True,
    help="Of TIFFs of several pages and of animations: all, in one file where the results' format "
    "holds them, else in a file each; or the first page or frame alone.",
)

strip = click.option(
    "--strip",
    is_flag=True,
    help="Leave out what pictures' files say besides: EXIF, XMP, keywords, texts, resolution.",
)


def inputs(
    command: Callable[..., Any], output_required: bool = True, metavar: str = "PICTURE..."
) -> Callable[..., Any]:
    """PICTURE... and the options about files; they arrive as keywords for `picture_run.plan`."""
    for option in (
        shard_option,
        options.json_report,
        max_pixels,
        click.option("--overwrite", is_flag=True, help="Do finished pictures anew."),
        click.option(
            "--format",
            "format_",
            type=click.Choice([*EXTENSIONS, "same"]),
            default="png",
            show_default=True,
            help="Of results in a folder, and of one for standard output; same: as their sources.",
        ),
        click.option("-r", "--recursive", is_flag=True, help="Take folders with all below them."),
        click.option(
            "-o",
            "--output",
            required=output_required,
            metavar="DIR|FILE",
            help="Folder of the results; for one picture also a file, or '-' for stdout.",
        ),
        click.argument("pictures", metavar=metavar, nargs=-1, required=True),
    ):
        command = option(command)
    return command


def any_given(
    recursive: bool, format_: str, overwrite: bool, json_: str | None, shard: str | None
) -> bool:
    """Whether any of the options of `inputs` was used."""
    return recursive or format_ != "png" or overwrite or json_ is not None or shard is not None
