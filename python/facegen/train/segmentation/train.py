"""Fine-tuning the segmentation network: a new decoder on an encoder that stays as it is.

The encoder comes from a network that knows ImageNet (transfer learning): with some hundred pictures
it could not be learned. The decoder starts as an untrained FCN does (Long, Shelhamer, Darrell
2015): all scores are 0 and the transposed convolutions interpolate.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from facegen.errors import FacegenError
from facegen.networks import imagenet, segmentation, squeezenet
from facegen.nn import ConvTranspose2d, Graph
from facegen.train.graph_module import GraphModule
from facegen.train.schedules import one_cycle
from facegen.train.segmentation.masks import VOID, Pairs
from facegen.train.split import split

# PyTorch and the engine add the same products in another order, up to 4,608 in a layer and some 20
# layers deep; relative to the largest logit.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class SegmentationSettings:
    """All that decides what comes out, given the pairs and the first weights.

    Attributes
    ----------
    epochs, batch
        Passes over the pairs that are trained on; pairs a step.
    seed
        Of the order, and of which pictures are mirrored.
    held_out
        Pairs that are not trained on; see `split.split`.
    freeze_encoder
        Keep conv1 to fire9 as they are, else train all layers.
    learning_rate
        Of Adam at its highest, after a twentieth of the steps; see `schedules.one_cycle`.
    """

    epochs: int = 20
    batch: int = 8
    seed: int = 0
    held_out: int = 20
    freeze_encoder: bool = True
    learning_rate: float = 1e-4


def encoder_layers() -> set[str]:
    """Names of the layers that classification and segmentation share."""
    g = Graph("encoder")
    squeezenet.encoder(g, g.input("image", squeezenet.IMAGE))
    return {node.name for node in g.nodes}


def first_weights(network: str, weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What training starts from: a classifier's encoder and conv10, or a network of this kind.

    Parameters
    ----------
    network, weights
        Name and canonical weights, as `facegen.loading.read_network` gives them.

    Raises
    ------
    FacegenError
        It is another network.
    """
    if network == "segmentation":
        return dict(weights)
    if not network.startswith("squeezenet"):
        raise FacegenError(f"expected squeezenet or segmentation to start from, found {network}")
    graph = segmentation.graph()
    shared = {name.replace("classifier.", "conv10."): values for name, values in weights.items()}
    scores = {name: np.zeros(shape, np.float32) for name, shape in graph.parameters.items()}
    enlarging = {
        f"{node.name}.weight": bilinear(node.layer)
        for node in graph.nodes
        if isinstance(node.layer, ConvTranspose2d)
    }
    return scores | enlarging | shared


def bilinear(layer: ConvTranspose2d) -> NDArray[np.float32]:
    """Weights (out, kernel h, kernel w, in) that enlarge each map by itself."""
    kernel, stride = layer.axes[0].kernel, layer.axes[0].stride
    tent = np.maximum(0, 1 - np.abs(np.arange(kernel) - (kernel - 1) / 2) / stride)
    weight = np.eye(layer.out_channels)[:, None, None, :] * np.outer(tent, tent)[..., None]
    return weight.astype(np.float32)


def train(
    pairs: Pairs,
    weights: Mapping[str, np.ndarray],
    settings: SegmentationSettings,
    device: torch.device,
    say: Callable[[dict[str, Any]], None] = lambda entry: None,
) -> dict[str, np.ndarray]:
    """Fine-tune from `first_weights`, and return the canonical weights.

    `say` is called before training and after every epoch with "epoch", "iou" (mean over the
    classes, of the pairs held out) and, after an epoch, "loss".

    Raises
    ------
    FacegenError
        Training diverged; or there are too few pairs, or none held out has a class.
    """
    chosen, held_out = split(len(pairs), settings.held_out)
    if (pairs.classes[held_out] == VOID).all():
        raise FacegenError(f"held out: no pixel of the {len(held_out)} masks has a class")
    network = GraphModule(segmentation.graph())
    network.load_canonical(weights)
    if settings.freeze_encoder:
        network.freeze(encoder_layers())
    network.to(device, memory_format=torch.channels_last)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(trained, settings.learning_rate)
    steps = settings.epochs * math.ceil(len(chosen) / settings.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, one_cycle(1.0, steps, rise=0.05))
    random = np.random.default_rng(settings.seed)

    @torch.no_grad()
    def classify(pixels: NDArray[np.uint8]) -> NDArray[Any]:
        return network(_input(pixels, device)).argmax(dim=1).cpu().numpy()

    def report(epoch: int, **more: float) -> None:
        iou = mean_iou(confusion(classify, pairs, held_out))
        say({"epoch": epoch, "iou": round(iou, 4), **more})

    report(0)
    for epoch in range(settings.epochs):
        losses = []
        order = random.permutation(chosen)
        for start in range(0, len(order), settings.batch):
            part = order[start : start + settings.batch]
            x = _input(pairs.pixels[part], device)
            y = torch.from_numpy(pairs.classes[part]).to(device).long()
            mirrored = torch.from_numpy(random.random(len(part)) < 0.5).to(device)
            x = torch.where(mirrored.view(-1, 1, 1, 1), x.flip(3), x)
            y = torch.where(mirrored.view(-1, 1, 1), y.flip(2), y)
            total = functional.cross_entropy(network(x), y, ignore_index=VOID, reduction="sum")
            loss = total / (y != VOID).sum().clamp(min=1)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            losses.append(loss.detach())
        mean = float(torch.stack(losses).mean())
        if not math.isfinite(mean):
            raise FacegenError(f"training diverged in epoch {epoch + 1}: loss {mean}")
        report(epoch + 1, loss=round(mean, 5))
    result = network.canonical()
    check_against_engine(network, result, pairs.pixels[held_out[:2]])
    return result


def iou_of_engine(
    weights: Mapping[str, np.ndarray], pairs: Pairs, held_out: int
) -> tuple[float, NDArray[np.int64]]:
    """Mean IoU of the pairs held out as `facegen.Segmenter` finds their classes, and the counts."""
    segmenter = segmentation.Segmenter(weights, device="cpu")

    def classify(pixels: NDArray[np.uint8]) -> NDArray[Any]:
        return segmenter.classes(np.stack([segmenter.prepare(one) for one in pixels]))

    counts = confusion(classify, pairs, split(len(pairs), held_out)[1])
    return mean_iou(counts), counts


def _input(pixels: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Pictures (n, 227, 227, 3) as the network takes them: (n, 3, 227, 227), less the mean."""
    mean = torch.tensor(imagenet.MEAN, device=device).view(1, 3, 1, 1)
    return torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float() - mean


def confusion(
    classify: Callable[[NDArray[np.uint8]], NDArray[Any]],
    pairs: Pairs,
    chosen: NDArray[np.int64],
    batch: int = 8,
) -> NDArray[np.int64]:
    """How many pixels of each class (row) were taken for each class (column), (21, 21).

    `classify` makes class maps (n, 227, 227) of pictures (n, 227, 227, 3).
    """
    classes = segmentation.CLASSES
    counts = np.zeros(classes * classes, np.int64)
    for start in range(0, len(chosen), batch):
        part = chosen[start : start + batch]
        answers, guesses = pairs.classes[part], classify(pairs.pixels[part])
        known = answers != VOID
        cells = answers[known].astype(np.int64) * classes + guesses[known]
        counts += np.bincount(cells, minlength=classes * classes)
    return counts.reshape(classes, classes)


def mean_iou(counts: NDArray[np.int64]) -> float:
    """Intersection over union, averaged over the classes that are there (Pascal VOC's measure)."""
    both = np.diag(counts)
    there = counts.sum(axis=1) > 0
    either = counts.sum(axis=0) + counts.sum(axis=1) - both
    return float((both[there] / either[there]).mean()) if there.any() else math.nan


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
    engine = segmentation.Segmenter(weights, device="cpu", precision="strict")
    prepared = np.stack([engine.prepare(one) for one in pixels])
    on_cpu = copy.deepcopy(network).cpu()
    expected = on_cpu(torch.from_numpy(prepared).permute(0, 3, 1, 2)).permute(0, 2, 3, 1).numpy()
    largest = float(np.abs(expected).max())
    difference = float(np.abs(engine.logits(prepared) - expected).max()) / max(largest, 1e-30)
    if not difference <= TOLERANCE:
        raise FacegenError(
            f"the exported network differs from PyTorch's by {difference:.2g} of its largest "
            f"logit, expected {TOLERANCE:.0e} at most"
        )
    return difference
