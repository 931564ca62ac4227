"""What the layers that are trained see of pictures: features that are kept, or changed pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from facegen.train.augment import Augmentation
from facegen.train.classifier import regimes
from facegen.train.classifier.network import Start
from facegen.train.classifier.pictures import ClassPictures
from facegen.train.classifier.regimes import Regime
from facegen.train.cut import Features, cut, may_be_kept
from facegen.train.in_parts import StepInParts
from facegen.train.kept_steps import KeptSteps, pick
from facegen.train.order import Batch
from facegen.train.reports import Reports

# Where every layer is trained, a picture is another in every epoch.
CHANGES = Augmentation(flip=0.5, translate=0.1, rotate=10, scale=0.15, stretch=0.1,
                       brightness=0.1, contrast=0.15, saturation=0.15)  # fmt: skip


class Shown:
    """What the layers that are trained see of pictures."""

    def __init__(
        self,
        pictures: ClassPictures,
        start: Start,
        regime: Regime,
        weights: dict[str, np.ndarray],
        threads: int | None,
        reports: Reports,
        device: str,
    ) -> None:
        self._pictures, self._start = pictures, start
        self._features: list[Features] | None = None
        self.graph = start.graph
        parts = cut(start.graph, regime.trained)
        if regime.layers == regimes.ALL or parts.front is None:
            return
        if not may_be_kept(parts.front, 2 * len(pictures)):
            reports.note("memory is short: the layers in front are computed in every step")
            return
        reports.note(f"the layers in front, of {len(pictures):,} pictures and their mirror images")
        self._features = [
            Features(parts.front, weights, reader, len(pictures), threads, device=device)
            for reader in (self._values, self._mirrored)
        ]
        self.graph = parts.rest

    def _values(self, samples: NDArray[np.int64]) -> np.ndarray:
        return self._start.preparation.values(self._pictures.pixels[samples])

    def _mirrored(self, samples: NDArray[np.int64]) -> np.ndarray:
        return np.ascontiguousarray(self._values(samples)[:, :, ::-1])

    def plain(self, samples: NDArray[np.int64]) -> Any:
        """As the finished network sees them."""
        if self._features is None:
            return self._values(samples)
        return pick(self._features, samples, np.zeros(len(samples), bool))

    def hold(self, step: StepInParts) -> KeptSteps | None:
        """Features that are kept, where the trainer is."""
        return KeptSteps.of(step, self._features, lambda: 2 * [self._pictures.labels])

    def changed(self, batch: Batch, samples: NDArray[np.int64]) -> Any:
        """As training sees them: changed at random, or mirrored where features are kept."""
        if self._features is not None:
            return pick(self._features, samples, mirrored(batch))
        pixels = self._pictures.pixels[samples].astype(np.float32) / 127.5 - 1
        changes = CHANGES if pixels.shape[3] == 3 else Augmentation(
            flip=CHANGES.flip, translate=CHANGES.translate, rotate=CHANGES.rotate,
            scale=CHANGES.scale, stretch=CHANGES.stretch,
        )  # fmt: skip
        changed = changes(pixels, batch.random, threads=1)
        return self._start.preparation.values((np.clip(changed, -1, 1) + 1) * 127.5)


def mirrored(batch: Batch) -> NDArray[np.bool_]:
    """Which pictures of a batch are shown so, where features are kept."""
    return batch.random.random(len(batch.samples)) < 0.5
