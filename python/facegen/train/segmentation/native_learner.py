"""Segmentation learned on the package's own kernels.

Where the encoder stays as it is, what it gives of a picture is always the same: it is computed once
for every picture and once for its mirror image, if the memory is there, and the decoder alone is
run in every step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facegen.engine.device import CPU
from facegen.networks import imagenet, segmentation
from facegen.nn.grad import Adam
from facegen.train.ahead import batches_ahead
from facegen.train.cut import Features, cut, may_be_kept, own_weights
from facegen.train.exchange import Exchange
from facegen.train.in_parts import StepInParts
from facegen.train.kept_steps import KeptSteps, pick
from facegen.train.ranks import Ranks
from facegen.train.reports import Reports
from facegen.train.schedules import Schedule
from facegen.train.segmentation.learner import (
    classes_of,
    encoder_layers,
    flipped,
    labels_of,
)
from facegen.train.segmentation.masks import Pairs
from facegen.train.trainer import Trainer

_BATCH = 8  # pictures whose classes are found at once


class NativeLearner:
    """A `Learner` on the CPU or a GPU.

    Parameters
    ----------
    epochs
        Of the run: features are kept where they are computed less often than they would be.
    ranks
        That share every batch, or are asynchronous.
    device
        As for `facegen.train.Trainer`; the encoder's features are computed there too.
    shares
        As for `facegen.train.Trainer`.
    """

    def __init__(
        self,
        pairs: Pairs,
        weights: Mapping[str, np.ndarray],
        rate: Schedule,
        freeze_encoder: bool,
        epochs: int,
        threads: int | None,
        reports: Reports,
        ranks: Ranks | None = None,
        device: str = CPU,
        shares: int = 1,
    ) -> None:
        self._pairs = pairs
        self._weights = {name: np.array(array) for name, array in weights.items()}
        graph = segmentation.graph(classes_of(weights))
        frozen = encoder_layers() if freeze_encoder else set[str]()
        self._features: list[Features] | None = None
        trained = {name.rpartition(".")[0] for name in graph.parameters} - frozen
        parts = cut(graph, trained)
        # Twice each picture, against once in every epoch.
        if parts.front is not None and epochs > 2 and may_be_kept(parts.front, 2 * len(pairs)):
            reports.note(f"the encoder's features of {len(pairs):,} pictures and mirror images")
            self._features = [
                Features(
                    parts.front, self._weights, self._reader(mirrored), len(pairs), threads,
                    device=device,
                )  # fmt: skip
                for mirrored in (False, True)
            ]
            graph, frozen = parts.rest, set()
        self.trainer = Trainer(
            graph,
            "cross_entropy",
            Adam(rate=rate),
            weights=own_weights(graph, self._weights),
            threads=threads,
            frozen={name.rpartition(".")[0] for name in graph.parameters} & frozen,
            ranks=ranks,
            shares=shares,
            device=device,
        )
        self.exchange = Exchange.of(ranks, self.trainer)
        self._step = StepInParts(self.trainer, reports.note, self.exchange)
        self._inputs, self._threads = graph.inputs, threads
        self._kept = KeptSteps.of(self._step, self._features, self._labels)
        self.together = self._kept is not None

    def _reader(self, mirrored: bool) -> Any:
        def read(samples: NDArray[np.int64]) -> np.ndarray:
            return self._pixels(samples, np.full(len(samples), mirrored))

        return read

    def _pixels(self, samples: NDArray[np.int64], mirrored: NDArray[np.bool_]) -> np.ndarray:
        pixels = flipped(self._pairs.pixels[samples], mirrored)
        return pixels - np.array(imagenet.MEAN, np.float32)

    def _labels(self) -> list[np.ndarray]:
        """Of all pairs' pictures, and of their mirror images."""
        every = np.arange(len(self._pairs))
        return [labels_of(self._pairs, every, np.full(len(every), m)) for m in (False, True)]

    def ahead(self, batch: int) -> int:
        """See `Learner`."""
        floats = sum(tensor.shape.floats for tensor in self._inputs)
        return batches_ahead(self.trainer.device, self._threads, batch * floats)

    def read(self, samples: NDArray[np.int64], mirrored: NDArray[np.bool_]) -> Any:
        """See `Learner`."""
        if self._kept is not None:
            return self._kept.rows(samples, mirrored)
        return self._shown(samples, mirrored), labels_of(self._pairs, samples, mirrored)

    def _shown(self, samples: NDArray[np.int64], mirrored: NDArray[np.bool_]) -> Any:
        """As the trainer takes pictures."""
        if self._features is None:
            return self._pixels(samples, mirrored)
        return pick(self._features, samples, mirrored)

    def steps(self, batches: Sequence[Any]) -> list[np.ndarray]:
        """See `Learner`."""
        if self._kept is not None:
            return self._kept.several(batches)
        return [self._step(*batch) for batch in batches]

    def classify(self, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        maps = []
        for first in range(0, len(samples), _BATCH):
            part = samples[first : first + _BATCH]
            shown = self._shown(part, np.zeros(len(part), bool))
            (logits,) = self.trainer.predict(shown).values()
            maps.append(logits.argmax(axis=3))
        return np.concatenate(maps)

    def weights(self) -> dict[str, np.ndarray]:
        self.trainer.sync()
        return {name: array.copy() for name, array in self._weights.items()}

    def finish(self, samples: NDArray[np.int64]) -> None:
        """What was trained is the engine's own network."""

    def state_dict(self) -> dict[str, np.ndarray]:
        return self.trainer.state_dict()

    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        self.trainer.load_state_dict(state)
