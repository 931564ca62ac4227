"""facegen train [TASK]: finds the command of the task; faces where none is named."""

from __future__ import annotations

import os
from difflib import get_close_matches
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

import click

from facegen import extras
from facegen.cli import options
from facegen.cli.lazy import command_first
from facegen.errors import FacegenError

if TYPE_CHECKING:
    from facegen.train.network_files import Widths

# Each lives in facegen.cli.train_<name>.
TASKS = ("classifier", "digits", "pix2pix", "colorizer", "segmentation")
BARE_FORM = "faces"


class Tasks(click.Group):
    """A group that takes anything but a task as the bare form, --help included."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        args = command_first(args, TASKS)
        if not args or args[0] not in TASKS:
            _refuse_near_names(args)
            args = [BARE_FORM, *args]
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return import_module(f"facegen.cli.train_{name}").command


def _refuse_near_names(args: list[str]) -> None:
    """A task that is spelled wrong would be taken for a folder of pictures."""
    if not args or os.path.exists(args[0]):
        return
    if args[0] == BARE_FORM:
        raise click.UsageError("faces: no such folder; faces are trained by facegen train FOLDER")
    for near in get_close_matches(args[0], TASKS, 1):
        raise click.UsageError(f"{args[0]}: no such folder; did you mean facegen train {near}?")


@click.group("train", cls=Tasks)
def command() -> None:
    pass


def check_network_file(path: str, network: str, half: bool, overwrite: bool) -> None:
    """Whether --output and --half fit the network, and the file can be made."""
    from facegen import weights
    from facegen.networks import NETWORKS

    extension = weights.check_extension(path)
    halves, plain = (weights.extensions(NETWORKS[network], half) for half in (True, False))
    _check_extension(path, extension, halves, plain, half)
    options.check_output(path, overwrite)


def check_file_of_width(
    path: str, network: Widths, width: int, half: bool, overwrite: bool
) -> None:
    """The same for a network of any width, whose graph a file may have to hold."""
    halves, plain = (network.extensions(width, half) for half in (True, False))
    _check_extension(path, os.path.splitext(path)[1].lower(), halves, plain, half)
    options.check_output(path, overwrite)


def check_file_of_classes(path: str, overwrite: bool) -> None:
    """The same for a network of classes of its own, whose names its file has."""
    from facegen import weights

    if weights.check_extension(path) != ".safetensors":
        raise click.UsageError(f"-o {path}: expected .safetensors, which names of classes fit in")
    options.check_output(path, overwrite)


def _check_extension(
    path: str, extension: str, halves: list[str], plain: list[str], half: bool
) -> None:
    if extension in (halves if half else plain):
        return
    others = " or ".join(ending for ending in plain if half and ending not in halves)
    expected = " or ".join(halves if half else plain)
    raise click.UsageError(
        f"-o {path}: expected {expected}" + (f", or without --half {others}" if others else "")
    )


def require_torch() -> None:
    """Raise FacegenError where PyTorch is not installed."""
    if find_spec("torch") is None:
        raise FacegenError(
            f"this needs PyTorch, which is missing: {extras.install('torch')}"
        )
