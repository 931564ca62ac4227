"""What learns to segment, whoever computes it: NumPy arrays go in, losses and classes come out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from facegen.networks import segmentation, squeezenet
from facegen.nn import Graph
from facegen.train.exchange import Exchange
from facegen.train.kept_steps import either
from facegen.train.segmentation.masks import VOID, Pairs


class Learner(Protocol):
    """A network that is fine-tuned; its state goes into checkpoints.

    Attributes
    ----------
    exchange
        With other ranks, where they are asynchronous.
    together
        Whether many batches a call of `steps` are learned faster than one.
    """

    exchange: Exchange | None
    together: bool

    def ahead(self, batch: int) -> int:
        """Batches of so many pairs that are read before they are needed."""

    def read(self, samples: NDArray[np.int64], mirrored: NDArray[np.bool_]) -> Any:
        """A batch of some pairs, some of them mirrored; by other threads, ahead of its step."""

    def steps(self, batches: Sequence[Any]) -> list[np.ndarray]:
        """Learn from batches, one behind the other.

        Of each its images' losses, whose mean is that over the pixels with a class.
        """

    def classify(self, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        """Class maps (n, 227, 227)."""

    def weights(self) -> dict[str, np.ndarray]:
        """All, canonical."""

    def finish(self, samples: NDArray[np.int64]) -> None:
        """Check the result on some pairs; FacegenError where it is not what was trained."""

    def state_dict(self) -> dict[str, np.ndarray]: ...

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None: ...


def labels_of(
    pairs: Pairs, samples: NDArray[np.int64], mirrored: NDArray[np.bool_]
) -> NDArray[np.int16]:
    """Of pixels (n, 227, 227): a class, or -1."""
    labels = flipped(pairs.classes[samples].astype(np.int16), mirrored)
    return np.where(labels == VOID, np.int16(-1), labels)


def flipped(maps: np.ndarray, mirrored: NDArray[np.bool_]) -> np.ndarray:
    """Maps (n, height, width, ...), those that are chosen as their mirror images."""
    return either(maps, maps[:, :, ::-1], mirrored)


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
