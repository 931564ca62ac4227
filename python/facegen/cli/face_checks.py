"""What `facegen train` refuses of its options for faces, before pictures are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from facegen.train.ranks import Ranks


def check_minutes(steps: int | None, backend: str, ranks: Ranks | None) -> None:
    """Refuse --minutes beside what says how many steps there are, or whose pace is not tried."""
    if ranks is not None:
        other = "several ranks"
    elif steps is not None:
        other = "--steps"
    elif backend == "torch":
        other = "--backend torch"
    else:
        return
    raise click.UsageError(f"--minutes finds the number of steps by itself, not with {other}")


def check_torch(precision: str, discriminator: str | None, shares: int) -> None:
    """Refuse options that PyTorch's trainer does not have."""
    given = {
        "--precision": precision != "strict",
        "--discriminator": discriminator is not None,
        "--shares": shares > 1,
    }
    name = next((name for name, found in given.items() if found), None)
    if name is None:
        return
    raise click.UsageError(f"{name} is of facegen's own kernels, not of --backend torch")


def check_size(side: int, output: str, backend: str) -> None:
    """Refuse a file that cannot hold the network, and what PyTorch's trainer does not do."""
    from facegen import weights
    from facegen.networks import dcgan

    network = dcgan.network_of(side)
    those = weights.extensions(network)
    if weights.check_extension(output) not in those:
        raise click.UsageError(f"{output}: {network.name} is written as {' or '.join(those)}")
    if backend == "torch" and side != dcgan.IMAGE.height:
        raise click.UsageError(f"--backend torch trains faces of 64x64, not {side}x{side}")


def check_memory(side: int, choices: Mapping[str, Any], device: str) -> None:
    """Refuse what can never fit."""
    from facegen.networks import dcgan
    from facegen.train.faces import discriminator
    from facegen.train.memory import check_run

    graphs = [dcgan.network_of(side).graph(), discriminator.graph(choices["width"], side=side)]
    check_run(graphs, choices["batch"], 3 * side * side, device)
