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


class ConnectedGpu:
    """A rank's GPU, connected with those of the others; watched until it is closed.

    Attributes
    ----------
    index
        Of the GPU among those of this process.
    peers
        As the engine takes them.
    """

    def __init__(self, ranks: Ranks, index: int, peers: CudaPeers) -> None:
        self.index, self.peers = index, peers
        self._ranks, self._closed = ranks, threading.Event()
        self._watch = threading.Thread(target=self._end_where_it_fails, daemon=True)
        self._watch.start()

    @property
    def is_used(self) -> bool:
        """Whether there is a trainer that has it."""
        return self.peers.is_used

    def close(self, keep: bool) -> None:
        """End the connection, as all ranks do; or `keep` it until the process ends."""
        self._closed.set()
        self._watch.join()
        if not keep:
            self.peers.close()

    def _end_where_it_fails(self) -> None:
        """All ranks: what waits for the connection on GPUs would wait for ever."""
        while not self._closed.wait(_WATCH_SECONDS):
            try:
                self.peers.check()
            except (DeviceFailure, FacegenError) as error:
                last_words(f"rank {self._ranks.rank}: {said(error)}")
                self._ranks.abort()
                return


def connect(ranks: Ranks, index: int) -> CudaPeers:
    """This rank's GPU among those of the others; every rank calls it, with a GPU of its own.

    Raises
    ------
    DeviceError
        NCCL is missing, or two ranks have the same GPU.
    DeviceFailure
        The GPUs cannot be connected.
    """
    if ranks.gpu is not None:
        if ranks.gpu.index != index:
            raise DeviceError(f"this rank trains on cuda:{ranks.gpu.index}, not on cuda:{index}")
        return ranks.gpu.peers
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
    ranks.gpu = ConnectedGpu(ranks, index, peers)
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
