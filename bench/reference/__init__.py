"""Naive definitions in float64: what every op and every graph must compute.

Contenders are verified against them before they are measured, and so is the package in its tests.
Written from the definitions alone, without the package's geometry (windows, phases, views). Loops
run over the taps of a window only, so that small cases are quick. Maps are (n, h, w, c).

| file | what it defines |
|---|---|
| `products` | convolutions of both kinds, linear layers |
| `norms` | norms of all kinds |
| `pools` | pools |
| `resampling` | interpolation |
| `rearranging` | shuffles of channels, channels as pixels |
| `pointwise` | activations, two maps number by number, softmax, argmax |
| `graphs` | any layer by its class, and graphs |
"""

from __future__ import annotations

import numpy as np

from bench.reference.graphs import run_graph, run_layer
from bench.reference.norms import (
    batch_norm,
    group_norm,
    instance_norm,
    layer_norm,
    local_response_norm,
)
from bench.reference.parts import Array, Doubles, both, sides
from bench.reference.pointwise import (
    activation,
    argmax,
    combine,
    erf,
    leaky_relu,
    log_softmax,
    prelu,
    relu,
    sigmoid,
    softmax,
    softplus,
)
from bench.reference.pools import avg_pool2d, global_avg_pool2d, max_pool2d
from bench.reference.products import conv2d, conv_transpose2d, linear
from bench.reference.rearranging import channel_shuffle, depth_to_space, space_to_depth
from bench.reference.resampling import upsample2d, upsample_bilinear2d

__all__ = [
    "Array", "Doubles", "TOLERANCE", "activation", "argmax", "avg_pool2d", "batch_norm", "both",
    "channel_shuffle", "combine", "conv2d", "conv_transpose2d", "depth_to_space",
    "disagreement", "erf", "global_avg_pool2d", "group_norm", "instance_norm", "layer_norm",
    "leaky_relu", "linear", "local_response_norm", "log_softmax", "max_pool2d", "prelu", "relu",
    "run_graph", "run_layer", "sides", "sigmoid", "softmax", "softplus", "space_to_depth",
    "upsample2d", "upsample_bilinear2d",
]  # fmt: skip

TOLERANCE = 1e-3  # two outputs agree where |a-b| or |a-b|/|b| is below it


def disagreement(a: Array, b: Array) -> str | None:
    """Why output `a` does not agree with the reference `b`, or None where it does."""
    if a.shape != b.shape:
        return f"shape {a.shape}, expected {b.shape}"
    difference = np.abs(a - b)
    agrees = (difference < TOLERANCE) | (difference < TOLERANCE * np.abs(b))
    if agrees.all():
        return None
    place = tuple(int(i) for i in np.argwhere(~agrees)[0])
    return f"{a[place]:.6g} instead of {b[place]:.6g} at {place}, {np.sum(~agrees)} values differ"

