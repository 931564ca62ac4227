"""Training the digit classifier: on nine of every ten images, measured on the others.

Images are shifted, turned, sheared and scaled a little in every epoch, so that no two epochs show
the same; the result is a moving average of the weights (Polyak & Juditsky 1992). The images held
out are used once, at the end: nothing is chosen by them.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from facegen.errors import FacegenError, FormatError
from facegen.networks import lenet
from facegen.training.augment import Augmentation
from facegen.training.digits.lenet import LeNet
from facegen.training.schedule import cosine
from facegen.training.split import split

AUGMENTATION = Augmentation(translate=0.08, rotate=12.0, shear=8.0, scale=0.12, stretch=0.1)

# PyTorch and the engine add the same products in another order, 1,024 of them at most.
TOLERANCE = 1e-5


@dataclass(frozen=True)
class DigitSettings:
    """All that decides what comes out, given the images.

    Attributes
    ----------
    epochs, batch
        Passes over the training images; images a step.
    seed
        Of the first weights and of every random choice, but not of the split.
    held_out
        Images that are not trained on, see `split.split`.
    learning_rate
        Of Adam at its highest, see `schedule.cosine`.
    dropout
        Share of the hidden values left out.
    average
        Half life of the moving average of the weights, in epochs.
    """

    epochs: int = 40
    batch: int = 64
    seed: int = 0
    held_out: int = 1000
    learning_rate: float = 1e-3
    dropout: float = 0.4
    average: float = 1.0


@dataclass(frozen=True)
class Trained:
    """The result, and how good it is on what it never saw."""

    weights: dict[str, np.ndarray]
    held_out: NDArray[np.int64]  # numbers of the images held out
    guesses: NDArray[np.int64]  # the engine's, of those images

    def correct(self, labels: NDArray[np.uint8]) -> int:
        """How many guesses are right; `labels` are those of all images."""
        return int((self.guesses == labels[self.held_out]).sum())


def check(images: NDArray[np.uint8], labels: NDArray[np.uint8]) -> None:
    """Raise FormatError unless these are images (n, 28, 28) and labels (n,), 0 to 9."""
    if images.shape[1:] != lenet.IMAGE[:2]:
        height, width = images.shape[1:]
        raise FormatError(f"images: expected 28x28 pixels, found {height}x{width}")
    if len(images) != len(labels):
        raise FormatError(f"found {len(images):,} images and {len(labels):,} labels")
    if len(labels) and labels.max() >= lenet.DIGITS:
        place = int(labels.argmax())
        raise FormatError(f"labels: expected 0 to 9, found {labels[place]} at {place}")


def train(
    images: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    settings: DigitSettings,
    device: torch.device,
    say: Callable[[int, float], None] = lambda epoch, loss: None,
) -> Trained:
    """Train from random weights; `say` is called with every epoch's number and mean loss.

    Parameters
    ----------
    images, labels
        (n, 28, 28), light on black, and (n,).

    Raises
    ------
    FacegenError
        Training diverged; or the images or the settings are not what they should be.
    """
    check(images, labels)
    chosen, held_out = split(len(images), settings.held_out)
    x = torch.from_numpy(lenet.check_images(images[chosen])).permute(0, 3, 1, 2).to(device)
    y = torch.from_numpy(labels[chosen].astype(np.int64)).to(device)
    with torch.random.fork_rng():
        torch.manual_seed(settings.seed)
        network = LeNet(settings.dropout).to(device)
        average = _train(network, x, y, settings, say)
    weights = average.canonical()
    check_against_engine(average, weights, images[held_out[:16]])
    engine = lenet.DigitClassifier(weights, device="cpu")
    return Trained(weights, held_out, engine(images[held_out]).digits)


def _train(
    network: LeNet, x: Tensor, y: Tensor, settings: DigitSettings, say: Callable[[int, float], None]
) -> LeNet:
    """The moving average of the network's weights over training."""
    average = copy.deepcopy(network).eval()
    steps_per_epoch = math.ceil(len(x) / settings.batch)
    optimiser = torch.optim.Adam(network.parameters(), settings.learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: cosine(step / (settings.epochs * steps_per_epoch))
    )
    keep = 0.5 ** (1 / (settings.average * steps_per_epoch))
    random = torch.Generator(x.device).manual_seed(settings.seed)
    for epoch in range(settings.epochs):
        losses = []
        for part in torch.randperm(len(x), device=x.device, generator=random).split(settings.batch):
            images = (AUGMENTATION(2 * x[part] - 1, random) + 1) / 2
            loss = functional.cross_entropy(network(images), y[part])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            with torch.no_grad():
                for averaged, current in zip(
                    average.parameters(), network.parameters(), strict=True
                ):
                    averaged.lerp_(current, 1 - keep)
            losses.append(loss.detach())
        mean = float(torch.stack(losses).mean())
        if not math.isfinite(mean):
            raise FacegenError(f"training diverged in epoch {epoch + 1}: loss {mean}")
        say(epoch + 1, mean)
    return average


@torch.no_grad()
def check_against_engine(
    network: LeNet, weights: dict[str, np.ndarray], images: NDArray[np.uint8]
) -> float:
    """Largest difference between PyTorch's probabilities on the CPU and the engine's.

    Raises
    ------
    FacegenError
        It is above 1e-5.
    """
    x = torch.from_numpy(lenet.check_images(images)).permute(0, 3, 1, 2)
    expected = copy.deepcopy(network).cpu().eval()(x).softmax(dim=1).numpy()
    engine = lenet.DigitClassifier(weights, device="cpu", precision="strict")
    difference = float(np.abs(engine(images).probabilities - expected).max())
    if not difference <= TOLERANCE:
        raise FacegenError(
            f"the exported network differs from PyTorch's by {difference:.2g}, "
            f"expected {TOLERANCE:.0e} at most"
        )
    return difference
