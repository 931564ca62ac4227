"""facegen init NETWORK OUT: seeded weights."""

from __future__ import annotations

import click

from facegen.cli import options, terminal
from facegen.cli.derived import DerivedHelp


def _networks(context: click.Context, option: click.Parameter, begun: str) -> list[str]:
    from facegen.networks import NETWORKS

    return [name for name in NETWORKS if name.startswith(begun)]


@click.command(
    "init",
    cls=DerivedHelp,
    epilog=options.examples(
        "facegen init dcgan network.bin",
        "facegen init resnet18 --seed 7 network.safetensors",
    ),
)
@click.argument("name", metavar="NETWORK", shell_complete=_networks)
@click.argument("out", metavar="OUT", type=click.Path())
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True)
@options.overwrite
@options.common
def command(name: str, out: str, seed: int, overwrite: bool) -> None:
    """Write weights of a network, for trials and benchmarks.

    NETWORK is {networks}. OUT becomes {writable} by its extension ({few}). A seed gives the same
    bytes on every machine. The weights are random: what they make of pictures means nothing.
    """
    from facegen import FacegenError, weights
    from facegen.networks import NETWORKS

    if name not in NETWORKS:
        raise FacegenError(f"no network {name!r}; there is {', '.join(NETWORKS)}")
    if not overwrite:
        options.refuse_existing(out)
    network = NETWORKS[name]
    tensors = network.initial_weights(seed)
    weights.write(out, network, tensors)
    values = sum(tensor.size for tensor in tensors.values())
    terminal.say(f"{out}: {name}, seed {seed}, {len(tensors)} tensors, {values:,} values")
