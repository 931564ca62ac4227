"""Ranks with a GPU each, which NCCL connects: `facegen.train.ranks` has what their hosts say."""

from __future__ import annotations

import os
import socket
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from facegen import extras
from facegen.engine.cuda import cuda_module
from facegen.errors import DeviceError, DeviceFailure, FacegenError
from facegen.train.ranks import Ranks, alike, of_all, said
from facegen.train.star import last_words

if TYPE_CHECKING:
    from facegen._cuda import CudaPeers

_LIBRARY = "libnccl.so.2"
_WATCH_SECONDS = 1.0


def find_library() -> str:
    """NCCL's path in the package nvidia-nccl, else its name, for the system's loader."""
    try:
        found = find_spec("nvidia.nccl")
    except ModuleNotFoundError:
        found = None
    for folder in (found and found.submodule_search_locations) or ():
        path = Path(folder) / "lib" / _LIBRARY
        if path.exists():
            return str(path)
    return _LIBRARY


def connect(ranks: Ranks, index: int) -> CudaPeers:
    """This rank's GPU among those of the others; every rank calls it, with a GPU of its own.

    Raises
    ------
    DeviceError
        NCCL is missing, or two ranks have the same GPU.
    DeviceFailure
        The GPUs cannot be connected.
    """
    if ranks.gpus is not None:
        if ranks.gpus[0] != index:
            raise DeviceError(f"this rank trains on cuda:{ranks.gpus[0]}, not on cuda:{index} too")
        return ranks.gpus[1]
    peers_type: type[CudaPeers] = cuda_module().CudaPeers
    library = find_library()
    with alike(ranks):
        try:
            peers_type.load(library)
        except RuntimeError as error:
            raise DeviceError(
                f"training on several GPUs takes NCCL: {extras.install('nccl')} ({error})"
            ) from None
    _check_apart(ranks, index)
    unique = ranks.told(peers_type.make_id(library) if ranks.first else None)
    peers = peers_type(library, unique, ranks.rank, ranks.size, index)
    ranks.gpus = (index, peers)
    threading.Thread(target=_watch, args=[ranks, peers], daemon=True).start()
    return peers


def _check_apart(ranks: Ranks, index: int) -> None:
    """NCCL's own words for two ranks on a GPU are an invalid usage."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    places = [tuple(place) for place in ranks.all([socket.gethostname(), visible, index])]
    for rank, place in enumerate(places):
        first = places.index(place)
        if first < rank:
            error = DeviceError(
                f"ranks {first} and {rank} both have cuda:{place[2]} of {place[0]}; each takes one "
                "of its own"
            )
            of_all(error)
            raise error


def _watch(ranks: Ranks, peers: CudaPeers) -> None:
    """End all where a connection fails: what waits for it on the GPUs would wait for ever."""
    while not ranks.closed.wait(_WATCH_SECONDS):
        try:
            peers.check()
        except (DeviceFailure, FacegenError) as error:
            last_words(f"rank {ranks.rank}: {said(error)}")
            ranks.abort()
            return
