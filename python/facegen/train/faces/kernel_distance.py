"""How far apart two sets of pictures are by what SqueezeNet sees in them.

The kernel distance of Binkowski et al. (2018), of features of a network that knows ImageNet's
pictures: the mean over fire9's map, 512 numbers. It has no bias: of two halves of one set it is 0
in the mean, and may be a little below. With another network than theirs its values are comparable
among themselves alone.
"""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from facegen.engine import Runner
from facegen.engine.device import CPU
from facegen.errors import FacegenError
from facegen.loading import read_network
from facegen.networks.squeezenet import IMAGE, encoder
from facegen.nn import GlobalAvgPool2d, Graph, lower
from facegen.shares import chunks

_BATCH = 64


class Encoder:
    """SqueezeNet v1.0 without its classifier.

    Parameters
    ----------
    path
        Its weights, in any format that `facegen classify` reads.

    Raises
    ------
    FacegenError, FormatError, OSError
        The file holds another network, is damaged, or cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str], device: str = CPU) -> None:
        network, weights = read_network(path)
        if network.name != "squeezenet" or network.prepare is None:
            raise FacegenError(f"{path}: holds a {network.name} network, expected squeezenet")
        self._prepare = network.prepare
        graph = Graph("features")
        last = encoder(graph, graph.input("image", IMAGE)).fire9
        graph.output(graph.add("mean", GlobalAvgPool2d(), last))
        own = {name: weights[name] for name in graph.parameters}
        self._runner = Runner(lower(graph, own), device)

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
        """Pictures (n, h, w, 3), any sizes: (n, 512)."""
        found = [
            self._runner(np.stack([self._prepare(picture) for picture in part])).reshape(
                len(part), -1
            )
            for part in chunks(pixels, _BATCH)
        ]
        return np.concatenate(found).astype(np.float64)


def kernel_distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Squared maximum mean discrepancy of rows, by the kernel (x y / d + 1)^3, without bias.

    Features of networks are of any size: here the mean square of all in `a` counts as 1.
    """
    scale = np.sqrt(np.square(a).mean())
    a, b = a / scale, b / scale

    def kernel(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        values: NDArray[np.float64] = (x @ y.T / x.shape[1] + 1) ** 3
        return values

    def among(x: NDArray[np.float64]) -> float:
        values, n = kernel(x, x), len(x)
        return float((values.sum() - np.trace(values)) / (n * (n - 1)))

    return among(a) + among(b) - 2 * float(kernel(a, b).mean())
