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
    "The result has the bits of a run that was not, on the same device.",
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

_DEVICES = (
    "What computes: cpu, cuda, cuda:N, or auto, the first GPU where one is usable, else the CPU, "
    "as it is for ranks of mpirun and srun. The bits of the result depend on it."
)
_complete_device = options.one_of("auto", "cpu", "cuda")
device = click.option(
    "--device", default="auto", show_default=True, help=_DEVICES, shell_complete=_complete_device
)

sync = click.option(
    "--sync",
    type=click.Choice(["tree", "async"]),
    default="tree",
    show_default=True,
    help="How ranks of mpirun or srun work together. tree: they share every batch, and the result "
    "is that of one. async: rank 0 has the weights, the others send it gradients of batches of "
    "their own and wait for nobody; no two results are the same. On GPUs: tree.",
)


shares = click.option(
    "--shares",
    type=click.Choice(["1", "2", "4", "8"]),
    default="1",
    show_default=True,
    callback=lambda context, parameter, value: int(value),
    help="On GPUs: parts of a batch whose sums are made apart. With 4, ranks with 1, 2 or 4 GPUs "
    "give the same file, of batches that 4 divides; one GPU is slower then.",
)


def choose_device(device: str, ranks: Ranks | None = None) -> str:
    """What --device is here: "cpu" or "cuda:0". Of ranks that share batches each has its own GPU.

    Raises UsageError where ranks have no such device, DeviceError where nobody has.
    """
    from facegen.train.choose_engine import one_device

    if device == "auto" and ranks is not None and (ranks.asynchronous or ranks.by_messages):
        device = "cpu"  # where they can all work, with NCCL or without, whatever GPUs they have
    if ranks is not None and ranks.asynchronous and device != "cpu":
        raise click.UsageError(f"--device {device}: --sync async trains on the CPU")
    found = one_device(device, ranks)
    if ranks is not None and found.kind == "cpu":
        ranks.require_messages()
    return str(found)


def tell_device(device: str) -> None:
    """Say what computes, before anything else is said; `device` as from `choose_device`."""
    from facegen.engine.devices import describe, parse_device

    terminal.progressed(f"trains on {describe(parse_device(device))}")


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
    help="Whose kernels: the package's own, or PyTorch's.",
)


def backend(command: Callable[..., None]) -> Callable[..., None]:
    """The options --backend and --device; see `choose_backend`."""
    return _backend(device(command))


def choose_backend(backend: str, device: str, ranks: Ranks | None = None) -> str:
    """What --device is: as `choose_device`, or as PyTorch takes it.

    Raises also UsageError where there are ranks and PyTorch, FacegenError where that is missing.
    """
    if backend == "native":
        return choose_device(device, ranks)
    require_torch()
    if ranks is not None:
        raise click.UsageError("--backend torch trains in one process, not on ranks")
    return device


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
