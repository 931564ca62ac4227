"""The peers: which packages they come from, and in which variants each is measured.

A peer is one file here with a function

    build(graph, weights, batch, threads, variant) -> Model

A new peer is that file and a line in `PEERS`. Only workers import the files: a package that is
not installed makes its peer absent, not the run a failure.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from facegen.nn import Graph


class Model(Protocol):
    """A network on a peer, of one batch size. Only `run` is timed."""

    note: str  # what was chosen at run time, such as the instruction set; may be empty

    def prepare(self, inputs: Sequence[np.ndarray]) -> Any:
        """Inputs (n, h, w, c) as the peer takes them."""

    def run(self, prepared: Any) -> Any:
        """One batch, from the peer's form of inputs in memory to its form of outputs."""

    def outputs(self, result: Any) -> list[np.ndarray]:
        """What `run` returned as arrays (n, h, w, c)."""


class NotApplicable(Exception):
    """This variant means nothing here, such as several streams for one image."""


def stream_count(batch: int, threads: int) -> int:
    """Streams that share a batch equally, each with an equal part of the threads."""
    return math.gcd(batch, threads)


class Peer(NamedTuple):
    """A package to compare with."""

    title: str
    module: str  # in this folder
    package: str  # as installed
    variants: tuple[str, ...]


OURS = "facegen"

PEERS: dict[str, Peer] = {
    OURS: Peer("facegen", "ours", "facegen", ("default", "strict")),
    "torch": Peer("PyTorch", "pytorch", "torch", ("eager", "channels_last", "frozen", "compiled")),
    "ort": Peer("ONNX Runtime", "onnx_runtime", "onnxruntime", ("latency", "throughput")),
    "openvino": Peer("OpenVINO", "open_vino", "openvino", ("latency", "throughput")),
    "ncnn": Peer("ncnn", "tencent_ncnn", "ncnn", ("cpu",)),
    "mnn": Peer("MNN", "alibaba_mnn", "mnn", ("cpu",)),
}


class Contender(NamedTuple):
    """A variant of a peer."""

    peer: str
    variant: str

    def __str__(self) -> str:
        peer = PEERS[self.peer]
        plain = len(peer.variants) == 1 or self.variant == "default"
        return peer.title if plain else f"{peer.title} {self.variant}"

    @property
    def ours(self) -> bool:
        return self.peer == OURS

    def version(self) -> str | None:
        """The installed version; None where the package is absent."""
        package = PEERS[self.peer].package
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            # On PYTHONPATH rather than installed: our own source tree.
            return "source tree" if self.ours and importlib.util.find_spec(package) else None

    def build(
        self, graph: Graph, weights: Mapping[str, np.ndarray], batch: int, threads: int
    ) -> Model:
        module = importlib.import_module(f"bench.peers.{PEERS[self.peer].module}")
        return module.build(graph, weights, batch, threads, self.variant)


def contenders(peers: Sequence[str] | None = None) -> list[Contender]:
    """All variants of the named peers (all, by default); ``torch:eager`` names one variant."""
    everything = [Contender(name, variant) for name in PEERS for variant in PEERS[name].variants]
    if peers is None:
        return everything
    chosen = [c for c in everything if c.peer in peers or f"{c.peer}:{c.variant}" in peers]
    known = {c.peer for c in everything} | {f"{c.peer}:{c.variant}" for c in everything}
    unknown = [name for name in peers if name not in known]
    if unknown:
        raise ValueError(f"no peer named {unknown[0]!r}; there are {', '.join(sorted(known))}")
    return chosen
