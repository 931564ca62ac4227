"""A DCGAN and its discriminator, trained step by step.

The discriminator learns which of two pictures is the real one, the generator to make it wrong
(relativistic pairs: Jolicoeur-Martineau 2019), both held back by zero-centred gradient penalties on
real and on generated pictures (R1: Mescheder et al. 2018; both: Huang et al. 2024). The exported
network is a moving average of the generator's weights.

Everything random in a step is a function of the seed, the step and the rank, and the schedules are
functions of the step. So weights, optimiser states and the step's number are all that a checkpoint
holds, and a resumed run goes on as if nothing had happened.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from facegen.errors import FacegenError, FormatError
from facegen.train import augment
from facegen.train.data_parallel import Ranks
from facegen.train.faces import export
from facegen.train.faces.data import Batches
from facegen.train.faces.dcgan import Discriminator, Generator
from facegen.train.faces.torch_augment import apply

FORMAT = 1  # of what a checkpoint holds
_WARMUP_SHARE = 0.05  # the average never reaches back further than this share of the run so far


@dataclass(frozen=True)
class DcganSettings:
    """All that decides what comes out, given the pictures.

    Attributes
    ----------
    steps, batch
        Steps of both networks; pictures a step over all ranks.
    seed
        Of the first weights and of every random choice.
    freeze
        The first layers of the generator that keep their weights (0 to 4).
    flip
        Show each picture or its mirror image.
    augmentation
        "none" or "small" (`augment.SMALL_SET`, for sets of a few thousand pictures and less).
    learning_rate
        Of Adam, constant for half of the steps, then falling to a tenth.
    penalty, penalty_every
        Weight of the gradient penalties, and how often they are computed (with as many times the
        weight).
    average
        Half life of the moving average, in pictures.
    width
        Channels of the discriminator's first layer.
    statistics
        Latents over which the batch norms of the averaged generator are measured at the end.
    """

    steps: int = 20_000
    batch: int = 256
    seed: int = 0
    freeze: int = 0
    flip: bool = True
    augmentation: str = "none"
    learning_rate: float = 2e-4
    penalty: float = 1.0
    penalty_every: int = 8
    average: int = 100_000
    width: int = 64
    statistics: int = 4096

    def __post_init__(self) -> None:
        if self.augmentation not in _AUGMENTATIONS:
            known = ", ".join(_AUGMENTATIONS)
            raise FacegenError(f"augmentation: expected {known}, found {self.augmentation!r}")


_AUGMENTATIONS = {"none": augment.NONE, "small": augment.SMALL_SET}


class Trainer:
    """The networks, their optimisers and the pictures, step by step.

    Parameters
    ----------
    pixels
        (n, 64, 64, 3) uint8
    init
        Canonical weights to start from: transfer learning. Random ones of the seed if None.
    """

    def __init__(
        self,
        pixels: NDArray[np.uint8],
        settings: DcganSettings,
        ranks: Ranks,
        init: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        if settings.batch % ranks.count:
            raise FacegenError(
                f"batch: expected a multiple of the {ranks.count} ranks, found {settings.batch}"
            )
        self.settings, self.ranks, self.device = settings, ranks, ranks.device
        self.step = 0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.generator = Generator()
            self.discriminator = Discriminator(settings.width)
        if init is not None:
            self.generator.load_canonical(init)
        for module in (self.generator, self.discriminator):
            module.to(self.device, memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.generator)
        for module in (self.generator, self.average):
            module.freeze(settings.freeze)
        self.average.requires_grad_(False)
        self.optimisers = [self._adam(self.generator), self._adam(self.discriminator)]
        self.batches = Batches(
            pixels, settings.batch, settings.seed, self.device, ranks.rank, ranks.count
        )
        self.augmentation = _AUGMENTATIONS[settings.augmentation]
        ranks.same_everywhere(self._tensors())

    def _adam(self, module: nn.Module) -> torch.optim.Adam:
        trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
        return torch.optim.Adam(
            trained,
            self.settings.learning_rate,
            betas=(0.0, 0.99),
            fused=self.device.type == "cuda",
        )

    def _tensors(self) -> Iterator[Tensor]:
        for module in (self.generator, self.average, self.discriminator):
            yield from module.state_dict().values()

    def train_step(self) -> dict[str, Tensor]:
        """One step of the discriminator and one of the generator; the losses, on the device."""
        settings, half = self.settings, self.settings.batch // self.ranks.count
        random = torch.Generator(self.device)
        random.manual_seed(_seed(settings.seed, self.step, self.ranks.rank))
        rate = settings.learning_rate * _falling(self.step / settings.steps)
        for optimiser in self.optimisers:
            optimiser.param_groups[0]["lr"] = rate
        optimise_generator, optimise_discriminator = self.optimisers

        amounts = np.random.default_rng([settings.seed, self.step, self.ranks.rank])
        flipped = replace(self.augmentation, flip=0.5 if settings.flip else 0.0)
        real = apply(flipped.draw(half, amounts), self.batches(self.step))
        with torch.no_grad(), self._mixed_precision():
            fake = self.generator(export.latents(half, random))
        fake = apply(self.augmentation.draw(half, amounts), fake)

        losses = {}
        with self._mixed_precision():
            advantage = self.discriminator(real).float() - self.discriminator(fake).float()
        losses["discriminator"] = functional.softplus(-advantage).mean()
        total = losses["discriminator"]
        if self.step % settings.penalty_every == 0:
            losses["penalty"] = self._slope(real) + self._slope(fake)
            total = total + settings.penalty / 2 * settings.penalty_every * losses["penalty"]
        optimise_discriminator.zero_grad()
        total.backward()
        self.ranks.average_gradients(self.discriminator.parameters())
        optimise_discriminator.step()

        self.discriminator.requires_grad_(False)
        with self._mixed_precision():
            fake = self.generator(export.latents(half, random))
            fake = apply(self.augmentation.draw(half, amounts), fake)
            advantage = self.discriminator(fake).float() - self.discriminator(real).float()
        losses["generator"] = functional.softplus(-advantage).mean()
        optimise_generator.zero_grad()
        losses["generator"].backward()
        self.discriminator.requires_grad_(True)
        self.ranks.average_gradients(self.generator.parameters())
        optimise_generator.step()

        self.step += 1
        self._update_average()
        return {name: loss.detach() for name, loss in losses.items()}

    def _slope(self, pictures: Tensor) -> Tensor:
        """Mean squared gradient of the scores by the pictures, in float32: it is derived again."""
        pictures = pictures.detach().requires_grad_(True)
        scores = self.discriminator(pictures)
        (gradient,) = torch.autograd.grad(scores.sum(), pictures, create_graph=True)
        return gradient.square().sum(dim=(1, 2, 3)).mean()

    def _mixed_precision(self) -> Any:
        if self.device.type == "cuda" and torch.cuda.is_bf16_supported():
            return torch.autocast("cuda", torch.bfloat16)
        return nullcontext()

    @torch.no_grad()
    def _update_average(self) -> None:
        seen = self.step * self.settings.batch
        half_life = min(self.settings.average, max(1.0, _WARMUP_SHARE * seen))
        keep = 0.5 ** (self.settings.batch / half_life)
        pairs = zip(self.average.parameters(), self.generator.parameters(), strict=True)
        for averaged, current in pairs:
            averaged.lerp_(current, 1 - keep)

    def samples(self, inputs: Tensor) -> Tensor:
        """Pictures of the averaged generator, (n, 3, 64, 64), by the statistics it has."""
        return export.pictures(self.average, inputs.to(self.device))

    def state(self) -> dict[str, Any]:
        """All that a checkpoint needs to hold."""
        return {
            "format": FORMAT,
            "step": self.step,
            "settings": asdict(self.settings),
            "pictures": len(self.batches.pixels),
            "generator": self.generator.state_dict(),
            "average": self.average.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
        }

    def load_state(self, state: Mapping[str, Any], where: str) -> None:
        """Go on from a checkpoint; its settings and number of pictures must be the same."""
        for field in fields(DcganSettings):
            before, now = state["settings"].get(field.name), getattr(self.settings, field.name)
            if field.name != "steps" and before != now:
                raise FormatError(f"{where}: was trained with {field.name} {before}, not {now}")
        if state["pictures"] != len(self.batches.pixels):
            before, now = state["pictures"], len(self.batches.pixels)
            raise FormatError(f"{where}: was trained on {before:,} pictures, not {now:,}")
        self.generator.load_state_dict(state["generator"])
        self.average.load_state_dict(state["average"])
        self.discriminator.load_state_dict(state["discriminator"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.step = state["step"]


def _seed(*parts: int) -> int:
    """One 63-bit seed of several numbers."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _falling(progress: float) -> float:
    """1 for the first half of the run, then straight down to 0.1 at its end."""
    return 1.0 if progress < 0.5 else max(0.1, 1.0 - 1.8 * (progress - 0.5))
