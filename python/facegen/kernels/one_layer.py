"""What the ops share: a network of one layer, lowered and run, and the checks of its maps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from facegen.engine import Runner
from facegen.engine.device import CPU
from facegen.engine.devices import parse_device
from facegen.nn import Graph, Layer, Shape, lower

Array = NDArray[np.float32]


def run(
    layer: Layer,
    x: Array,
    weights: dict[str, Array],
    threads: int | None,
    device: str,
    algorithm: str = "auto",
) -> Array:
    """What a layer makes of `x`; `weights` by the layer's own names of its parameters."""
    name = type(layer).__name__
    graph = Graph.of_layer("facegen.kernels", layer, map_shape(x), called=name)
    named = {f"{name}.{parameter}": value for parameter, value in weights.items()}
    program = lower(graph, named, algorithm)
    # A GPU has algorithms by name in plain float32 alone; what it takes by itself is faster.
    on_gpu = algorithm != "auto" and parse_device(device).kind != CPU
    return Runner(program, device, threads, "strict" if on_gpu else "float32")(x)


def check(array: Any, name: str) -> None:
    """Raise TypeError for what is no array of float32, in any byte order."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} must be a NumPy array, not {type(array).__name__}")
    if array.dtype.newbyteorder("=") != np.float32:
        raise TypeError(f"{name} must be float32, not {array.dtype}")


def map_shape(x: Array) -> Shape:
    """(h, w, c) of the maps `x`, (n, h, w, c); ValueError where it is no such array."""
    check(x, "x")
    if x.ndim != 4 or 0 in x.shape[1:]:
        raise ValueError(f"x must be (n, h, w, c) with h, w, c at least 1, not {x.shape}")
    return Shape(*x.shape[1:])
