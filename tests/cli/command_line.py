"""Helpers of the command line's tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from facegen.networks import dcgan


class Result(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Result]


def start(arguments: Sequence[object], folder: Path, **options: object) -> subprocess.Popen[bytes]:
    """The same in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "facegen", *map(str, arguments)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        **options,  # type: ignore[call-overload]
    )


def latent_text(seeds: Sequence[int]) -> str:
    """An INPUT file whose numbers read back to the same float32."""
    rows = [" ".join(f"{v:.9g}" for v in row) for row in dcgan.latents(seeds)]
    return "\n".join([str(len(rows)), *rows, ""])


def encode_idx(values: np.ndarray) -> bytes:
    """An IDX file of unsigned bytes, by its description."""
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return bytes([0, 0, 8, values.ndim]) + sizes + values.astype(np.uint8).tobytes()


def read_bmp(path: Path) -> np.ndarray:
    """(height, width, 3) RGB of a 24-bit bottom-up BMP, by its description."""
    data = path.read_bytes()
    assert data[:2] == b"BM" and int.from_bytes(data[2:6], "little") == len(data)
    width, height = (int.from_bytes(data[i : i + 4], "little") for i in (18, 22))
    return np.frombuffer(data, np.uint8, offset=54).reshape(height, width, 3)[::-1, :, ::-1]
