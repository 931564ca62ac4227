"""Weights of a seed: the same bytes on every machine, scaled so that outputs are not saturated."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod, sqrt

import numpy as np

# Centre and half width of the uniform distribution of each kind of tensor but weights.
_RANGES = {
    "bias": (0.0, 0.1),
    "beta": (0.0, 0.1),
    "gamma": (1.0, 0.2),
    "mean": (0.0, 0.1),
    "var": (1.0, 0.3),
}


def seeded_weights(
    shapes: Mapping[str, tuple[int, ...]], seed: int, strides: Mapping[str, int] | None = None
) -> dict[str, np.ndarray]:
    """Uniform weights of variance 2 / fan-in (He et al. 2015), so that ReLU layers keep the scale.

    Parameters
    ----------
    shapes
        Canonical tensors, drawn in this order from one PCG64 of the seed.
    strides
        Of transposed convolutions, by weight name: an output pixel of stride s is reached by
        1 / s^2 of the taps, which is its fan-in.

    Only uniform draws, products and square roots are used: IEEE 754 rounds them the same way
    everywhere.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    weights = {}
    for name, shape in shapes.items():
        kind = name.rpartition(".")[2]
        if kind == "weight":
            fan_in = prod(shape[1:]) / (strides or {}).get(name, 1) ** 2
            centre, half_width = 0.0, sqrt(3.0 * 2.0 / fan_in)
        else:
            centre, half_width = _RANGES[kind]
        draws = generator.random(shape) * 2.0 - 1.0
        weights[name] = (centre + half_width * draws).astype(np.float32)
    return weights
