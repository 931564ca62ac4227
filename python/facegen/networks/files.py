"""Which file of weights is meant where a network is named, and what it holds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from facegen import hub, weights
from facegen.errors import FacegenError, FormatError
from facegen.networks import default

if TYPE_CHECKING:
    from facegen.networks.network import Network


def resolve(
    path: str | os.PathLike[str] | None, network: str = "dcgan"
) -> str | os.PathLike[str]:
    """The file of weights that is meant.

    None or "default" is the package's own for `network`; "default:lenet" names the network too. The
    name of a published network (``facegen fetch``) is its file in the cache, and None too where the
    package has none of its own. A file of that very name goes first.

    Raises
    ------
    FacegenError
        Neither the package nor the cache has weights for the network.
    """
    if path is not None:
        keyword, _, name = os.fspath(path).partition(":")
        if os.path.exists(path):
            return path
        if hub.find(os.fspath(path)):
            return hub.cached(os.fspath(path))
        if keyword != default.KEYWORD:
            return path
        network = name or network
    if network in default.FILES:
        return default.path(default.FILES[network])
    if network in hub.PUBLISHED:
        return hub.cached(network)
    raise FacegenError(
        f"no weights of {network} come with the package ({', '.join(default.FILES)} have some); "
        f"name a file of them, or write one for trials with facegen init {network} "
        "network.safetensors"
    )


def read(
    path: str | os.PathLike[str], wanted: Sequence[Network]
) -> tuple[Network, dict[str, np.ndarray]]:
    """Which of the networks `wanted` a file holds, and its canonical weights.

    Raises
    ------
    FormatError
        It holds another network, which is named, or none, or it is damaged.
    FacegenError, OSError
        As for `facegen.weights.read`.
    """
    from facegen.networks import NETWORKS  # which import this module

    try:
        return weights.read(path, wanted)
    except FacegenError as error:
        others = [network for network in NETWORKS.values() if network not in wanted]
        try:
            held = weights.read(path, others)[0].name
        except FacegenError:
            _check_format(path, wanted)
            raise error from None
    expected = " or a ".join(network.name for network in wanted)
    raise FormatError(f"{path}: holds a {held} network, expected a {expected} network")


# Formats of others: how they are called, and the field of a network that says how one is read.
_FOREIGN = {
    "pytorch": ("a PyTorch checkpoint", "checkpoint_layout"),
    "caffe": ("a .caffemodel", "caffe_layout"),
}


def _check_format(path: str | os.PathLike[str], wanted: Sequence[Network]) -> None:
    """Refuse a format of others that none of the networks is read from, whatever is in the file."""
    what, field = _FOREIGN.get(weights.sniff(path), (None, ""))
    if what is not None and not any(getattr(network, field) for network in wanted):
        names = " or a ".join(network.name for network in wanted)
        raise FormatError(
            f"{path}: is {what}, expected a {names} network as network.bin, .safetensors or .npz"
        )
