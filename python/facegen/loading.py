"""From a file of weights to the model that runs them."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from facegen import hub, weights
from facegen.errors import FacegenError
from facegen.networks import NETWORKS, Network, default


def resolve(
    path: str | os.PathLike[str] | None, network: Network = NETWORKS["dcgan"]
) -> str | os.PathLike[str]:
    """The file of weights that is meant.

    None or "default" is the package's own for `network`; "default:lenet" names the network too. The
    name of a published network (``facegen fetch``) is its file in the cache, and None too where the
    package has none of its own. A file of that very name goes first.

    Raises
    ------
    FacegenError
        There is no such network, or neither the package nor the cache has weights for it.
    """
    if path is not None:
        keyword, _, name = os.fspath(path).partition(":")
        if os.path.exists(path):
            return path
        if hub.find(os.fspath(path)):
            return hub.cached(os.fspath(path))
        if keyword != default.KEYWORD:
            return path
        if name and name not in NETWORKS:
            raise FacegenError(f"{path}: no network {name!r}; there is {', '.join(NETWORKS)}")
        network = NETWORKS[name] if name else network
    if network.default is not None:
        return default.path(network.default)
    if network.name in hub.PUBLISHED:
        return hub.cached(network.name)
    raise FacegenError(
        f"no weights of {network.name} come with the package; name a file of them, "
        f"or write one for trials with facegen init {network.name} network.safetensors"
    )


def read_network(
    path: str | os.PathLike[str] | None,
) -> tuple[Network, dict[str, np.ndarray]]:
    """Which known network a file holds, and its canonical weights."""
    return weights.read(resolve(path), NETWORKS.values())


def load(
    path: str | os.PathLike[str] | None = None,
    device: str = "auto",
    threads: int | None = None,
    precision: str = "float32",
) -> Any:
    """Look into a file of weights and return the model that it is for.

    Parameters
    ----------
    path
        A network.bin, safetensors or .npz file: told by its content, not by its name. The
        package's own faces if None or "default", its digits if "default:lenet".
    device
        "auto", "cpu", "cuda", "cuda:0,1" or "all"; only "auto" may fall back to the CPU.
    threads
        CPU threads; all that this process may use if None.
    precision
        "float32" (its accuracy, by the fastest arithmetic) or "strict" (its very products).

    Returns
    -------
    The network's model: a `facegen.Generator` for a DCGAN, and so on.

    Raises
    ------
    FormatError
        The file holds no known network, or is damaged.
    DeviceError
        The device or the precision is not to be had.
    OSError
        The file cannot be read.
    """
    network, tensors = read_network(path)
    return network.model(tensors, device=device, threads=threads, precision=precision)
