"""Which file of weights is meant where a network is named, and what it holds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from facegen import hub, weights
from facegen.errors import FacegenError, FormatError
from facegen.networks import default
from facegen.networks.families import FAMILIES, FORMAT, Family
from facegen.networks.recognise import read_any

if TYPE_CHECKING:
    from facegen.networks.network import Network


def resolve(
    path: str | os.PathLike[str] | None, network: str = "dcgan"
) -> str | os.PathLike[str]:
    """The file of weights that is meant.

    "default" is the package's own for `network`; "default:lenet" names the network too, and
    "faces", "faces128", "portraits", "parts", "colours", "digits" or "binary" is what the package
    has by that name. The name of a published network (``facegen fetch``) is its file in the cache.
    None is the published one of `network` where it was fetched, else the package's own. A file of
    that very name goes first.

    Raises
    ------
    FacegenError
        Neither the package nor the cache has weights for the network, or the path is a network's
        bare name.
    """
    if path is not None:
        keyword, _, name = os.fspath(path).partition(":")
        if os.path.exists(path) and not os.path.isdir(path):
            return path
        if hub.find(os.fspath(path)):
            return hub.cached(os.fspath(path))
        if os.fspath(path) in default.FILES.values():
            return default.path(os.fspath(path))
        if keyword != default.KEYWORD:
            _refuse_name(os.fspath(path))
            return path
        if name in default.FILES.values():
            return default.path(name)
        network = name or network
    elif network in hub.PUBLISHED and hub.is_cached(hub.PUBLISHED[network]):
        return hub.cached(network)
    if network in default.FILES:
        return default.path(default.FILES[network])
    if network in hub.PUBLISHED:
        return hub.cached(network)
    raise FacegenError(
        f"no weights of {network} come with the package ({', '.join(default.FILES)} have some); "
        f"name a file of them, or write one for trials with facegen init {network} "
        "network.safetensors"
    )


def _refuse_name(path: str) -> None:
    """Refuse a network's name where a file is meant, and say which file would do."""
    from facegen.networks import NETWORKS  # which import this module

    if path in NETWORKS:
        way = (
            f"the package's own are {default.KEYWORD}:{path}"
            if path in default.FILES
            else f"facegen init {path} network.safetensors writes some for trials"
        )
        raise FacegenError(f"{path}: expected a file of weights, found a network's name; {way}")


def read(
    path: str | os.PathLike[str], wanted: Sequence[Network], families: Sequence[Family] = ()
) -> tuple[Network, dict[str, np.ndarray]]:
    """Which network of `wanted`, or of `families`, a file holds, and its canonical weights.

    Raises
    ------
    FormatError
        It holds another network, which is named, or none, or it is damaged.
    FacegenError, OSError
        As for `facegen.networks.recognise.read_any`.
    """
    from facegen.networks import NETWORKS  # which import this module

    try:
        return read_any(path, wanted, families)
    except FacegenError as error:
        others = [network for network in NETWORKS.values() if network not in wanted]
        try:
            held = read_any(path, others, FAMILIES)[0].name
        except FacegenError:
            _check_format(path, wanted, families)
            raise error from None
    expected = " or a ".join(network.name for network in wanted)
    raise FormatError(f"{path}: holds a {held} network, expected a {expected} network")


def _check_format(
    path: str | os.PathLike[str], wanted: Sequence[Network], families: Sequence[Family]
) -> None:
    """Refuse a format of others that none of the networks is read from, whatever is in the file."""
    kind = weights.sniff(path)
    if families and kind.name == FORMAT:
        return
    if kind.write is None and not any(kind.name in network.foreign for network in wanted):
        names = " or a ".join(network.name for network in wanted)
        ours = [each.title for each in weights.writable().values()]
        raise FormatError(
            f"{path}: is a {kind.title}, expected a {names} network as "
            f"{', '.join(ours[:-1])} or {ours[-1]}"
        )
