"""How much of a network is trained: the three regimes of transfer learning.

| layers | what is trained | what a picture costs |
|---|---|---|
| last | the new head alone | nothing in an epoch: what is in front is computed once |
| few | the last quarter of the layers too | those layers; the front is computed once |
| all | every layer, the old ones at a tenth of the rate | the whole network, other every time |
"""

from __future__ import annotations

from dataclasses import dataclass

from facegen.nn import BatchNorm, Conv2d, ConvTranspose2d, Graph, Linear

LAST, FEW, ALL = "last", "few", "all"
_FEW_FROM, _ALL_FROM = 50, 500  # pictures of a class, on average


@dataclass(frozen=True)
class Regime:
    """Which layers, and the reason for people.

    Attributes
    ----------
    trained
        Names of layers.
    """

    layers: str
    trained: frozenset[str]
    reason: str


def choose(graph: Graph, layers: str, pictures: int, classes: int) -> Regime:
    """By name, or by the amount of data where that is "auto"."""
    reason = ""
    if layers == "auto":
        each = pictures / classes
        layers = LAST if each < _FEW_FROM else FEW if each < _ALL_FROM else ALL
        bound = {
            LAST: f"below {_FEW_FROM} a class",
            FEW: f"{_FEW_FROM} to {_ALL_FROM} a class",
            ALL: f"{_ALL_FROM} or more a class",
        }[layers]
        reason = f"{pictures:,} pictures of {classes} classes, {bound}"
    kinds = Conv2d | ConvTranspose2d | Linear
    with_weights = [node.name for node in graph.nodes if isinstance(node.layer, kinds)]
    count = {LAST: 1, FEW: 1 + max(1, len(with_weights) // 4), ALL: len(with_weights)}[layers]
    trained = set(with_weights[-count:])
    return Regime(layers, frozenset(trained | _norms_of(graph, trained)), reason)


def _norms_of(graph: Graph, trained: set[str]) -> set[str]:
    """The batch norms that read what is trained."""
    return {
        node.name
        for node in graph.nodes
        if isinstance(node.layer, BatchNorm) and set(node.inputs) & trained
    }
