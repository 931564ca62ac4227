"""The DCGAN generator straight from its description, in float64 and plain NumPy.

The reference for everything else: it reads network.bin's bytes in file order itself, and writes
transposed convolution in its scatter form. Slow, and meant to be.
"""

from __future__ import annotations

import numpy as np


def tensors(data: bytes) -> dict[str, np.ndarray]:
    """network.bin by the names of its description, in the file's own layouts, as float64."""
    order: list[tuple[str, tuple[int, ...]]] = [("W0", (100, 8192)), ("b0", (8192,))]
    channels = (512, 256, 128, 64, 3)
    for i in range(5):
        if i > 0:
            order += [(f"W{i}", (5, 5, channels[i], channels[i - 1])), (f"b{i}", (channels[i],))]
        if i < 4:
            order += [(f"{part}{i}", (channels[i],)) for part in ("beta", "gamma", "mean", "var")]
    values = np.frombuffer(data, "<f4").astype(np.float64)
    result = {}
    for name, shape in order:
        size = int(np.prod(shape))
        result[name], values = values[:size].reshape(shape), values[size:]
    assert values.size == 0
    return result


def conv_transpose2d(x: np.ndarray, w: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(H, W, C) -> (2H, 2W, K): input pixel h contributes to output 2h + r - 1 by tap r.

    w is (5, 5, K, C); outputs outside are dropped.
    """
    height, width, _ = x.shape
    out = np.zeros((2 * height, 2 * width, w.shape[2]))
    for h in range(height):
        for r in range(5):
            oh = 2 * h + r - 1
            if not 0 <= oh < 2 * height:
                continue
            for v in range(width):
                for s in range(5):
                    ow = 2 * v + s - 1
                    if 0 <= ow < 2 * width:
                        out[oh, ow] += w[r, s] @ x[h, v]
    return out + b


def generate(network: dict[str, np.ndarray], latent: np.ndarray) -> np.ndarray:
    """(100,) -> (64, 64, 3)."""
    x = (network["b0"] + latent.astype(np.float64) @ network["W0"]).reshape(4, 4, 512)
    for i in range(4):
        scale = network[f"gamma{i}"] / np.sqrt(network[f"var{i}"] + 1e-5)
        x = scale * x + (network[f"beta{i}"] - network[f"mean{i}"] * scale)
        x = conv_transpose2d(np.maximum(x, 0.0), network[f"W{i + 1}"], network[f"b{i + 1}"])
    return np.tanh(x)
