"""facegen train [TASK]: finds the command of the task; faces where none is named."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec

import click

from facegen import extras
from facegen.cli import options
from facegen.cli.lazy import command_first
from facegen.errors import FacegenError

# Each lives in facegen.cli.train_<name>.
TASKS = ("digits", "segmentation")
BARE_FORM = "faces"


class Tasks(click.Group):
    """A group that takes anything but a task as the bare form, --help included."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        args = command_first(args, TASKS)
        if not args or args[0] not in TASKS:
            args = [BARE_FORM, *args]
        return super().parse_args(ctx, args)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return import_module(f"facegen.cli.train_{name}").command


@click.group("train", cls=Tasks)
def command() -> None:
    pass


def check_network_file(path: str, network: str, half: bool, overwrite: bool) -> None:
    """Whether --output and --half fit the network, and the file can be made."""
    from facegen import weights
    from facegen.networks import NETWORKS

    halves, plain = (weights.extensions(NETWORKS[network], half) for half in (True, False))
    if weights.check_extension(path) not in (halves if half else plain):
        others = " or ".join(ending for ending in plain if ending not in halves)
        raise click.UsageError(
            f"-o {path}: expected {' or '.join(halves)}, or without --half {others}"
        )
    options.check_output(path, overwrite)


def require_torch() -> None:
    """Raise FacegenError where PyTorch is not installed."""
    if find_spec("torch") is None:
        raise FacegenError(
            f"training needs PyTorch, which is missing: {extras.install('train')}"
        )
