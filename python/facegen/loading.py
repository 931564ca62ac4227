"""Models made of a file of weights, or of the name of a published network."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from facegen import hub
from facegen.networks import NETWORKS, Network
from facegen.networks.files import resolve
from facegen.networks.recognise import read_any
from facegen.onnx_files import OnnxModel, is_onnx


def read_network(
    path: str | os.PathLike[str] | None,
) -> tuple[Network, dict[str, np.ndarray]]:
    """Which known network a file holds, and its canonical weights."""
    return read_any(resolve(path), NETWORKS.values())


def load(
    path: str | os.PathLike[str] | None = None,
    device: str = "auto",
    threads: int | None = None,
    precision: str = "float32",
    algorithm: str = "auto",
) -> Any:
    """Look into a file of weights and return the model that it is for.

    Parameters
    ----------
    path
        A file of weights in any of `facegen.weights.FORMATS`, told by its content (a .caffemodel
        alone by its name); or the name of a network that ``facegen fetch`` got. The package's own
        faces if None or "default", its digits if "default:lenet". A network of any kind from an
        .onnx file, where its operators are among ours (``docs/networks.md``).
    device
        "auto", "cpu", "cuda", "cuda:0,1" or "all"; only "auto" may fall back to the CPU.
    threads
        CPU threads, at least 1; all that this process may use if None.
    precision
        "float32" (its accuracy, by the fastest arithmetic) or "strict" (its very products); on GPUs
        also "tf32" or "float16".
    algorithm
        "auto", or "direct": none of lower complexity than the definition's, such as Winograd's.

    Returns
    -------
    The network's model: a `facegen.Generator` for a DCGAN, and so on; a `facegen.OnnxModel` for an
    ONNX file.

    Raises
    ------
    FormatError
        The file holds no known network, or is damaged.
    FacegenError
        Neither the package nor the cache of fetched networks has weights of that name.
    DeviceError
        The device or the precision is not to be had.
    ValueError
        `threads` or `algorithm` is none of those.
    OSError
        The file cannot be read.

    Examples
    --------
    >>> generator = load()
    >>> generator.generate(range(4)).shape
    (4, 64, 64, 3)
    """
    options: dict[str, Any] = {
        "device": device,
        "threads": threads,
        "precision": precision,
        "algorithm": algorithm,
    }
    if path is not None and is_onnx(path):
        return OnnxModel(path, **options)
    network, tensors = read_network(path)
    return network.model(tensors, **options)


def fetch(
    name: str,
    mirror: str | None = None,
    offline: bool = False,
    advance: Callable[[int], None] = lambda count: None,
) -> Path:
    """The file of a network that others published: from the cache, or downloaded into it.

    Where no digest of it is published, the first file must hold the network, and later ones must be
    the same. All the rest is as for `facegen.hub.fetch`.

    Examples
    --------
    >>> fetch("colorizer")  # the path of the file
    """
    return hub.fetch(name, _check_published, mirror, offline, advance)


def _check_published(path: Path, published: hub.Published) -> None:
    read_any(path, [NETWORKS[published.network]])
