"""The pix2pix generator straight from its description, in float64 and plain NumPy.

It reads network.bin's bytes in file order itself: TensorFlow's variables sorted by name.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

ENCODER = [3, 64, 128, 256, 512, 512, 512, 512, 512]
DECODER = [3, 64, 128, 256, 512, 512, 512, 512]


def read_network_bin(path: Path) -> dict[str, np.ndarray]:
    values = np.fromfile(path, "<f4").astype(np.float64)
    used = 0

    def take(*shape: int) -> np.ndarray:
        nonlocal used
        start, used = used, used + int(np.prod(shape))
        return values[start:used].reshape(shape)

    tensors = {}
    for i in range(1, 9):
        if i > 1:
            for part in ("beta", "gamma", "moving_mean", "moving_variance"):
                tensors[f"decoder_{i}/{part}"] = take(DECODER[i - 1])
        tensors[f"decoder_{i}/bias"] = take(DECODER[i - 1])
        channels = ENCODER[8] if i == 8 else DECODER[i] + ENCODER[i]
        tensors[f"decoder_{i}/kernel"] = take(4, 4, DECODER[i - 1], channels)
    for i in range(1, 9):
        if i > 1:
            for part in ("beta", "gamma", "moving_mean", "moving_variance"):
                tensors[f"encoder_{i}/{part}"] = take(ENCODER[i])
        tensors[f"encoder_{i}/bias"] = take(ENCODER[i])
        tensors[f"encoder_{i}/kernel"] = take(4, 4, ENCODER[i - 1], ENCODER[i])
    assert used == len(values)
    return tensors


def generate(tensors: dict[str, np.ndarray], image: np.ndarray) -> np.ndarray:
    """(256, 256, 3) -> (256, 256, 3), -1 to 1."""

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        mean, var = x.mean(axis=(0, 1)), x.var(axis=(0, 1))
        normal = (x - mean) / np.sqrt(var + 1e-5)
        return tensors[f"{name}/gamma"] * normal + tensors[f"{name}/beta"]

    encoded: dict[int, np.ndarray] = {}
    x = image.astype(np.float64)
    for i in range(1, 9):
        name = f"encoder_{i}"
        if i > 1:
            x = np.where(x > 0, x, 0.2 * x)
        x = conv(x, tensors[f"{name}/kernel"]) + tensors[f"{name}/bias"]
        encoded[i] = x = x if i == 1 else norm(x, name)
    for i in range(8, 0, -1):
        name = f"decoder_{i}"
        if i < 8:
            x = np.concatenate([x, encoded[i]], axis=-1)
        x = tconv(np.maximum(x, 0), tensors[f"{name}/kernel"]) + tensors[f"{name}/bias"]
        x = x if i == 1 else norm(x, name)
    return np.tanh(x)


def conv(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Output o sums ``kernel[r] x[2 o + r - 1]``; kernel (4, 4, in, out)."""
    height, width, channels = x.shape
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    out = np.zeros((height // 2 * width // 2, kernel.shape[3]))
    for r in range(4):
        for s in range(4):
            rows = padded[r : r + height : 2, s : s + width : 2].reshape(-1, channels)
            out += rows @ kernel[r, s]
    return out.reshape(height // 2, width // 2, -1)


def tconv(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Input i adds ``kernel[r] x[i]`` to output 2 i + r - 1; kernel (4, 4, out, in)."""
    height, width, channels = x.shape
    full = np.zeros((2 * height + 2, 2 * width + 2, kernel.shape[2]))
    for r in range(4):
        for s in range(4):
            added = x.reshape(-1, channels) @ kernel[r, s].T
            full[r : r + 2 * height : 2, s : s + 2 * width : 2] += added.reshape(height, width, -1)
    return full[1:-1, 1:-1]
