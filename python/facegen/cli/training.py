"""What the commands of training share: the options of a run, and how far it is, for people."""

from __future__ import annotations

import math
import os
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from facegen.cli import options, terminal
from facegen.cli.train import require_torch
from facegen.launchers import find_place

if TYPE_CHECKING:
    from facegen.train import Reports
    from facegen.train.ranks import Ranks

# Of an entry, besides losses and measures.
_PACE = ("step", "epoch", "seconds", "images_per_second", "left", "unreadable")

resume = click.option(
    "--resume",
    is_flag=True,
    help="Go on with a run that was stopped (Ctrl-C, a crash): the same command line with this. "
    "The result has the bits of a run that was not.",
)

folder = click.option(
    "--folder",
    type=click.Path(),
    help="For the checkpoint and log.jsonl; the output's name with .run if not given.",
)


seed = click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True,
    help="Of all that is random: the same gives the same network.",
)
threads = click.option(
    "--threads", type=click.IntRange(1, 4096), help="Of the CPU; one a processor if not given.",
)

one_device = click.option(
    "--device",
    default="cpu",
    show_default=True,
    help="Of the kernels: cpu, cuda, cuda:N, or auto, the first GPU where there is one. The bits "
    "of the result depend on it.",
    shell_complete=options.one_of("auto", "cpu", "cuda"),
)

sync = click.option(
    "--sync",
    type=click.Choice(["tree", "async"]),
    default="tree",
    show_default=True,
    help="How ranks of mpirun or srun work together. tree: they share every batch, and the result "
    "is that of one. async: rank 0 has the weights, the others send it gradients of batches of "
    "their own and wait for nobody; no two results are the same.",
)


def check_one_device(device: str, ranks: Ranks | None) -> None:
    """Raise UsageError where ranks have no such device, DeviceError where nobody has."""
    from facegen.engine.devices import parse_device

    if ranks is not None and device != "cpu":
        raise click.UsageError(f"--device {device}: ranks of mpirun or srun train on the CPU")
    parse_device(device)


class OnRanks(click.Command):
    """A command that several ranks are given: rank 0 alone says what is wrong with its words."""

    def make_context(self, *words: Any, **more: Any) -> click.Context:
        try:
            return super().make_context(*words, **more)
        except click.UsageError:
            if find_place(os.environ).rank > 0:
                raise SystemExit(0) from None
            raise


@contextmanager
def ranks(sync: str) -> Iterator[Ranks | None]:
    """Those that --sync is of, as `train.ranks.join`; all but rank 0 are hushed."""
    from facegen.train.ranks import join

    with join(asynchronous=sync == "async") as found:
        if found is not None and not found.first:
            terminal.hush()
        yield found


_backend = click.option(
    "--backend",
    type=click.Choice(["native", "torch"]),
    default="native",
    show_default=True,
    help="What computes: the package's own kernels on the CPU, or PyTorch, which GPUs need.",
)
_device = click.option(
    "--device",
    default="auto",
    show_default=True,
    help="Of PyTorch: auto, cpu, cuda or cuda:N.",
    shell_complete=options.one_of("auto", "cpu", "cuda"),
)


def backend(command: Callable[..., None]) -> Callable[..., None]:
    """The options --backend and --device; see `check_backend`."""
    return _backend(_device(command))


def check_backend(backend: str, device: str) -> None:
    """Raise UsageError where the two do not fit, FacegenError where PyTorch is missing."""
    if backend == "torch":
        require_torch()
    elif device not in ("auto", "cpu"):
        expected = "the native kernels train on the CPU; GPUs take --backend torch"
        raise click.UsageError(f"--device {device}: {expected}")


def reports(
    output: str,
    folder: str | None,
    words: Callable[[Mapping[str, Any]], str | None] | None = None,
    least_seconds: float = 0.0,
    ranks: Ranks | None = None,
    **more: Any,
) -> Reports:
    """Of a run whose result is `output`: what it says goes to stderr. Of ranks, the first speaks.

    `words` makes the start of a line of an entry that is worth one, and no two come within
    `least_seconds`; `more` is `Reports`' own.
    """
    from facegen.train import SILENT, Reports

    if folder is not None and os.path.abspath(folder) == os.path.abspath(output):
        raise click.UsageError(f"--folder {folder}: the output has this name")
    if ranks is not None and not ranks.first:
        return SILENT
    said = [-math.inf]

    def say(entry: Mapping[str, Any]) -> None:
        if time.monotonic() < said[0] + least_seconds:
            return
        said[0] = time.monotonic()
        text = line(entry) if words is None else words(entry)
        if text is not None:
            terminal.progressed(", ".join([text, *pace(entry)]))

    return Reports(
        Path(folder or f"{output}.run"),
        entry=say,
        note=terminal.progressed,
        warn=terminal.warn,
        **more,
    )


def next_step(command: str, output: str) -> None:
    """Say how to use the network that was trained; `command` has FILE where its name goes."""
    terminal.progressed(f"to use it: {command.replace('FILE', shlex.quote(output))}")


def line(entry: Mapping[str, Any]) -> str:
    """What an entry of the log says besides its pace: "step 1,200, epoch 3, loss 0.1234"."""
    parts = [f"step {entry['step']:,}"]
    if "epoch" in entry:
        parts.append(f"epoch {entry['epoch']:g}")
    for name, value in entry.items():
        if name in _PACE or not isinstance(value, int | float):
            continue
        parts.append(f"{name} {value:.4f}" if isinstance(value, float) else f"{name} {value:,}")
    return ", ".join(parts)


def pace(entry: Mapping[str, Any]) -> list[str]:
    """How fast it is: "812 images/s", "2 min left"."""
    from facegen.train.pace import duration

    rate, left = entry.get("images_per_second"), entry.get("left")
    return [
        *([f"{rate:,g} images/s"] if rate else []),
        *([f"{duration(left)} left"] if left else []),
    ]
