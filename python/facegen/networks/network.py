"""What facegen knows of a network: all that loading, converting and inspecting it take."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from facegen.cached import cached_property
from facegen.networks.priors import Prior
from facegen.nn import Graph
from facegen.photos.preparation import Preparation
from facegen.weights.checks import Path, check_variance
from facegen.weights.layout import BinaryLayout, Layout


@dataclass(frozen=True)
class Network:
    """One file under ``networks/`` makes one of these.

    Attributes
    ----------
    name
        As ``facegen init`` and a file's metadata spell it.
    summary
        One line for people.
    graph
        Builds the network as its paper's table.
    binary_layout
        The tensors of its network.bin, in order; None where it has no such file.
    initial_weights
        Weights of a seed, for trials and benchmarks.
    model
        The class; ``model(weights, device=..., threads=..., precision=..., algorithm=...)``.
    foreign
        Other programs' files of it: a format's name -> the tensors by their names there.
    prepare
        What a picture's pixels (height, width, 3) uint8 become as its input, where one model runs
        several networks; takes (height, width) of the input too, where that may differ.
    input_range
        Of its inputs, about: what benchmarks draw from.
    adapt
        What the canonical weights from such foreign files still need, where their input is in
        another order or scale; None where they need nothing.
    prior
        What latent vectors are drawn from, of a generator.
    classes
        Names of what its scores are of, where its file has them.
    of_classes
        Its graph for another number of classes; None where there is none.
    preparation
        What `prepare` does, of a network whose file says it.
    """

    name: str
    summary: str
    graph: Callable[[], Graph]
    binary_layout: BinaryLayout | None
    initial_weights: Callable[[int], dict[str, np.ndarray]]
    model: type[Any]
    foreign: Mapping[str, Layout] = field(default_factory=dict)
    prepare: Callable[..., np.ndarray] | None = None
    input_range: tuple[float, float] = (-1.0, 1.0)
    adapt: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]] | None = None
    prior: Prior | None = None
    classes: tuple[str, ...] | None = None
    of_classes: Callable[[int], Graph] | None = None
    preparation: Preparation | None = None

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the canonical tensors."""
        return dict(self.graph().parameters)

    def ordered(
        self, weights: Mapping[str, np.ndarray], where: Path = "weights"
    ) -> dict[str, np.ndarray]:
        """Canonical weights in the order of `shapes`.

        Raises
        ------
        FormatError
            A batch norm's variance is negative; the message names `where`.
        """
        for name in self.shapes:
            if name.endswith(".var"):
                check_variance(where, name, weights[name])
        return {name: weights[name] for name in self.shapes}
