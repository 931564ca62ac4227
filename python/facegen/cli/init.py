"""facegen init KIND OUT: seeded weights."""

from __future__ import annotations

import click

from facegen.cli import options, terminal
from facegen.cli.derived import DerivedHelp


def _kinds(context: click.Context, option: click.Parameter, begun: str) -> list[str]:
    from facegen.networks import NETWORKS

    return [name for name in NETWORKS if name.startswith(begun)]


@click.command(
    "init",
    cls=DerivedHelp,
    epilog=options.examples(
        "facegen init dcgan network.bin",
        "facegen init colorizer --seed 7 network.safetensors",
    ),
)
@click.argument("kind", metavar="KIND", shell_complete=_kinds)
@click.argument("out", metavar="OUT", type=click.Path())
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True)
@options.overwrite
@options.common
def command(kind: str, out: str, seed: int, overwrite: bool) -> None:
    """Write weights of a network, for trials and benchmarks.

    KIND is {networks}. OUT becomes {writable} by its extension ({few}). A seed gives the same bytes
    on every machine. The weights are random: what they make of pictures means nothing.
    """
    from facegen import FacegenError, weights
    from facegen.networks import NETWORKS

    if kind not in NETWORKS:
        raise FacegenError(f"no network {kind!r}; there is {', '.join(NETWORKS)}")
    if not overwrite:
        options.refuse_existing(out)
    network = NETWORKS[kind]
    tensors = network.initial_weights(seed)
    weights.write(out, network, tensors)
    values = sum(tensor.size for tensor in tensors.values())
    terminal.say(f"{out}: {kind}, seed {seed}, {len(tensors)} tensors, {values:,} values")
