"""Which file of weights is meant where a network is named."""

from __future__ import annotations

import os

from facegen import hub
from facegen.errors import FacegenError
from facegen.networks import default


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
