"""What learns to segment, whoever computes it: NumPy arrays go in, losses and classes come out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from facegen.networks import segmentation, squeezenet
from facegen.nn import Graph
from facegen.train.exchange import Exchange


class Learner(Protocol):
    """A network that is fine-tuned; its state goes into checkpoints.

    Attributes
    ----------
    exchange
        With other ranks, where they are asynchronous.
    """

    exchange: Exchange | None

    def prepare(self, samples: NDArray[np.int64], mirrored: NDArray[np.bool_]) -> Any:
        """What `step` takes of some pairs' pictures; called by other threads, ahead of the step."""

    def step(self, prepared: Any, labels: NDArray[np.int32]) -> np.ndarray:
        """Learn from a batch; each image's loss, whose mean is that over the pixels with a class.

        `labels` (n, 227, 227): a class, or -1.
        """

    def classify(self, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        """Class maps (n, 227, 227)."""

    def weights(self) -> dict[str, np.ndarray]:
        """All, canonical."""

    def finish(self, samples: NDArray[np.int64]) -> None:
        """Check the result on some pairs; FacegenError where it is not what was trained."""

    def state_dict(self) -> dict[str, np.ndarray]: ...

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None: ...


def classes_of(weights: Mapping[str, np.ndarray]) -> int:
    """How many classes weights of a segmentation network tell apart."""
    return len(weights["conv13.weight"])


def segmenter(weights: Mapping[str, np.ndarray], **options: Any) -> segmentation.Segmenter:
    """The model of a network of any number of classes."""
    graph = partial(segmentation.graph, classes_of(weights))
    network = replace(segmentation.SEGMENTATION, graph=graph)
    return segmentation.Segmenter.of(network, dict(weights), **options)


def encoder_layers() -> set[str]:
    """Names of the layers that classification and segmentation share."""
    g = Graph("encoder")
    squeezenet.encoder(g, g.input("image", squeezenet.IMAGE))
    return {node.name for node in g.nodes if node.layer is not None}
