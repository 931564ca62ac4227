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
        kind = _kind(name)
        if kind == "weight":
            fan_in = prod(shape[1:]) / (strides or {}).get(name, 1) ** 2
            centre, half_width = 0.0, sqrt(3.0 * 2.0 / fan_in)
        else:
            centre, half_width = _RANGES[kind]
        draws = generator.random(shape) * 2.0 - 1.0
        weights[name] = (centre + half_width * draws).astype(np.float32)
    return weights


def is_seeded(weights: Mapping[str, np.ndarray]) -> bool:
    """Whether weights are such as `seeded_weights` draws: so, those of no trained network.

    No format has to be marked for it, not even network.bin, and no seed to be known: uniform
    numbers fill their range evenly up to its ends, while training leaves few large weights and many
    small ones. The mean square over the square of the largest is 1/3 of the former and was at most
    0.1 in the trained networks that were looked at; their biases, moreover, keep to no range.
    """
    others = [_scaled(name, values) for name, values in weights.items() if _kind(name) in _RANGES]
    layers = [_some(values) for name, values in weights.items() if _kind(name) == "weight"]
    layers = [values / np.abs(values).max() for values in layers if values.any()]
    if not others or not layers:
        return False
    # The middle one, since a layer may be no draw.
    spread = sorted(float(np.mean(values**2)) for values in layers)[len(layers) // 2]
    return _fills(np.concatenate(others)) and abs(spread - 1 / 3) < 0.03


def _kind(name: str) -> str:
    return name.rpartition(".")[2]


def _some(values: np.ndarray) -> np.ndarray:
    """Enough of them to see how they are spread."""
    return values.reshape(-1)[:20_000].astype(np.float64)


def _scaled(name: str, values: np.ndarray) -> np.ndarray:
    """-1 to 1, if they were drawn here."""
    centre, half_width = _RANGES[_kind(name)]
    return (_some(values) - centre) / half_width


def _fills(values: np.ndarray) -> bool:
    """Whether values are spread evenly from -1 to 1 (a hundred or more; rounded to float32)."""
    return bool(np.abs(values).max() < 1 + 1e-5 and abs(np.mean(values**2) - 1 / 3) < 0.1)
