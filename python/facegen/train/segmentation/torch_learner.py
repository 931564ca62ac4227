"""Segmentation learned by PyTorch, for GPUs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from facegen.errors import FacegenError
from facegen.networks import imagenet, segmentation
from facegen.train.ahead import AHEAD
from facegen.train.exchange import Exchange
from facegen.train.graph_module import GraphModule
from facegen.train.running import Diverged
from facegen.train.segmentation.learner import classes_of, encoder_layers, labels_of, segmenter
from facegen.train.segmentation.masks import Pairs

# PyTorch and the engine add the same products in another order, up to 4,608 in a layer and some 20
# layers deep; relative to the largest logit.
TOLERANCE = 1e-4
_BATCH = 8  # pictures whose classes are found at once


class TorchLearner:
    """A `Learner` on a device of PyTorch's."""

    exchange: Exchange | None = None
    together = False

    def __init__(
        self,
        pairs: Pairs,
        weights: Mapping[str, np.ndarray],
        rate: Callable[[int], float],
        freeze_encoder: bool,
        device: torch.device,
    ) -> None:
        self._pairs, self._rate, self._device = pairs, rate, device
        self.network = GraphModule(segmentation.graph(classes_of(weights)))
        self.network.load_canonical(weights)
        if freeze_encoder:
            self.network.freeze(encoder_layers())
        self.network.to(device, memory_format=torch.channels_last)
        named = self.network.named_parameters()
        self._trained = {name: tensor for name, tensor in named if tensor.requires_grad}
        self._adam = torch.optim.Adam(self._trained.values())
        self._steps = 0

    def ahead(self, batch: int) -> int:
        """See `Learner`."""
        return AHEAD

    def read(
        self, samples: NDArray[np.int64], mirrored: NDArray[np.bool_]
    ) -> tuple[Tensor, NDArray[np.int16]]:
        """See `Learner`."""
        x = _input(self._pairs.pixels[samples])
        shown = torch.where(torch.from_numpy(mirrored).view(-1, 1, 1, 1), x.flip(3), x)
        return shown, labels_of(self._pairs, samples, mirrored)

    def steps(self, batches: Sequence[tuple[Tensor, NDArray[np.int16]]]) -> list[np.ndarray]:
        """See `Learner`."""
        return [self._step(*batch) for batch in batches]

    def _step(self, prepared: Tensor, labels: NDArray[np.int16]) -> np.ndarray:
        for group in self._adam.param_groups:
            group["lr"] = self._rate(self._steps)
        y = torch.from_numpy(labels).to(self._device).long()
        logits = self.network(prepared.to(self._device))
        each = functional.cross_entropy(logits, y, ignore_index=-1, reduction="none")
        losses = each.sum(dim=(1, 2)) / (y >= 0).sum().clamp(min=1)
        total = losses.sum()
        if not torch.isfinite(total):
            raise Diverged(f"step {self._steps} of segmentation: the loss is {total.item()}")
        self._adam.zero_grad()
        total.backward()
        self._adam.step()
        self._steps += 1
        return losses.detach().cpu().numpy().astype(np.float64) * len(labels)

    @torch.no_grad()
    def classify(self, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        maps = [
            self.network(_input(self._pairs.pixels[part]).to(self._device)).argmax(dim=1).cpu()
            for part in np.split(samples, range(_BATCH, len(samples), _BATCH))
        ]
        return torch.cat(maps).numpy()

    def weights(self) -> dict[str, np.ndarray]:
        return self.network.canonical()

    def finish(self, samples: NDArray[np.int64]) -> None:
        check_against_engine(self.network, self.weights(), self._pairs.pixels[samples[:2]])

    def state_dict(self) -> dict[str, np.ndarray]:
        """Trained parameters as PyTorch has them, and Adam's moments."""
        state = {":steps": np.array(self._steps, np.uint64)}
        for name, tensor in self._trained.items():
            kept = self._adam.state.get(tensor, {})
            zeros = torch.zeros_like(tensor)
            for suffix, each in (
                ("", tensor.detach()),
                (":first", kept.get("exp_avg", zeros)),
                (":second", kept.get("exp_avg_sq", zeros)),
            ):
                state[name + suffix] = each.cpu().contiguous().numpy().copy()
        return state

    @torch.no_grad()
    def load_state_dict(self, state: Mapping[str, np.ndarray]) -> None:
        for name, expected in self.state_dict().items():
            found = state.get(name)
            if found is None or found.shape != expected.shape or found.dtype != expected.dtype:
                raise ValueError(f"expected {name} as {expected.dtype} of shape {expected.shape}")
            if not np.isfinite(found).all():
                raise ValueError(f"{name} has a number that is not finite")
        self._steps = int(state[":steps"])
        for name, tensor in self._trained.items():
            tensor.copy_(torch.from_numpy(state[name]))
            if self._steps:
                self._adam.state[tensor] = {
                    "step": torch.tensor(float(self._steps)),
                    "exp_avg": _like(tensor, state[f"{name}:first"]),
                    "exp_avg_sq": _like(tensor, state[f"{name}:second"]),
                }


def _like(tensor: Tensor, values: np.ndarray) -> Tensor:
    return torch.empty_like(tensor).copy_(torch.from_numpy(values))


def _input(pixels: NDArray[np.uint8]) -> Tensor:
    """Pictures (n, 227, 227, 3) as the network takes them: (n, 3, 227, 227), less the mean."""
    mean = torch.tensor(imagenet.MEAN).view(1, 3, 1, 1)
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() - mean


@torch.no_grad()
def check_against_engine(
    network: GraphModule, weights: Mapping[str, np.ndarray], pixels: NDArray[np.uint8]
) -> float:
    """Largest difference between PyTorch's logits and the engine's, over the largest logit.

    Raises
    ------
    FacegenError
        It is above 1e-4.
    """
    engine = segmenter(weights, device="cpu", precision="strict")
    prepared = np.stack([engine.prepare(one) for one in pixels])
    on_cpu = copy.deepcopy(network).cpu()
    expected: Any = on_cpu(torch.from_numpy(prepared).permute(0, 3, 1, 2))
    expected = expected.permute(0, 2, 3, 1).numpy()
    largest = float(np.abs(expected).max())
    difference = float(np.abs(engine.logits(prepared) - expected).max()) / max(largest, 1e-30)
    if not difference <= TOLERANCE:
        raise FacegenError(
            f"the exported network differs from PyTorch's by {difference:.2g} of its largest "
            f"logit, expected {TOLERANCE:.0e} at most"
        )
    return difference
