"""The same game as `facegen.train.faces.adversaries`, by PyTorch: for GPUs, one or several.

Gradient penalties are derivatives here, by deriving twice. Everything random in a step is a
function of the seed, the step and the rank.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from facegen.errors import FacegenError
from facegen.train.checkpoint import Stateful
from facegen.train.faces.pytorch import export
from facegen.train.faces.pytorch.augment import apply
from facegen.train.faces.pytorch.batches import Batches
from facegen.train.faces.pytorch.dcgan import Discriminator, Generator
from facegen.train.faces.pytorch.ranks import Ranks
from facegen.train.faces.pytorch.state import ModuleState, OptimizerState
from facegen.train.faces.settings import FaceSettings
from facegen.train.order import Batch
from facegen.train.running import Diverged
from facegen.weights import digest

_FLUSH = 16  # steps between looks at the losses: each waits for the GPU


class TorchAdversaries:
    """The networks, their optimisers and the pictures.

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
        settings: FaceSettings,
        ranks: Ranks,
        init: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        if settings.batch % ranks.count:
            raise FacegenError(
                f"batch: expected a multiple of the {ranks.count} ranks, found {settings.batch}"
            )
        self.settings, self.ranks, self.device = settings, ranks, ranks.device
        self.begun_from = {} if init is None else {"start": digest(init)[:12]}
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
        self.batches = Batches(pixels, self.device, ranks.rank, ranks.count)
        self._losses: list[dict[str, Tensor]] = []
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

    @property
    def parts(self) -> dict[str, Stateful]:
        """What a checkpoint holds."""
        return {
            "generator": ModuleState(self.generator),
            "discriminator": ModuleState(self.discriminator),
            "average": ModuleState(self.average),
            "generator's moments": OptimizerState(self.optimisers[0]),
            "discriminator's moments": OptimizerState(self.optimisers[1]),
        }

    def read(self, batch: Batch) -> Batch:
        """The batch as it is: its pictures are on the device already."""
        return batch

    def step(self, batch: Batch) -> dict[str, np.ndarray]:
        """Change both networks by a batch; the losses of the last steps, or none."""
        self._losses.append(self._step(batch))
        last = batch.step + 1 == self.settings.steps
        if not last and len(self._losses) < _FLUSH:
            return {}
        losses: dict[str, list[Tensor]] = {}
        for step in self._losses:
            for name, loss in step.items():
                losses.setdefault(name, []).append(loss)
        self._losses = []
        found = {name: torch.stack(some).cpu().numpy() for name, some in losses.items()}
        for name, values in found.items():
            if not np.isfinite(values).all():
                raise Diverged(f"step {batch.step}: the loss of the {name} is not finite")
        return found

    def _step(self, batch: Batch) -> dict[str, Tensor]:
        settings = self.settings
        random = torch.Generator(self.device)
        random.manual_seed(_seed(settings.seed, batch.step, self.ranks.rank))
        amounts = np.random.default_rng([settings.seed, batch.step, self.ranks.rank])
        for optimiser in self.optimisers:
            optimiser.param_groups[0]["lr"] = settings.rate(batch.step)
        optimise_generator, optimise_discriminator = self.optimisers

        real = self.batches(batch.samples)
        n = len(real)
        real = apply(settings.of_real.draw(n, amounts), real)
        with torch.no_grad(), self._mixed_precision():
            fake = self.generator(export.latents(n, random))
        fake = apply(settings.of_generated.draw(n, amounts), fake)

        losses = {}
        with self._mixed_precision():
            advantage = self.discriminator(real).float() - self.discriminator(fake).float()
        losses["discriminator"] = functional.softplus(-advantage).mean()
        total = losses["discriminator"]
        if settings.most_penalty and batch.step % settings.penalty_every == 0:
            losses["penalty"] = self._slope(real) + self._slope(fake)
            penalty = settings.penalty_at(batch.step)
            total = total + penalty / 2 * settings.penalty_every * losses["penalty"]
        optimise_discriminator.zero_grad()
        total.backward()
        self.ranks.average_gradients(self.discriminator.parameters())
        optimise_discriminator.step()

        self.discriminator.requires_grad_(False)
        with self._mixed_precision():
            fake = self.generator(export.latents(n, random))
            fake = apply(settings.of_generated.draw(n, amounts), fake)
            advantage = self.discriminator(fake).float() - self.discriminator(real).float()
        losses["generator"] = functional.softplus(-advantage).mean()
        optimise_generator.zero_grad()
        losses["generator"].backward()
        self.discriminator.requires_grad_(True)
        self.ranks.average_gradients(self.generator.parameters())
        optimise_generator.step()

        self._update_average(settings.decay(batch.step))
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
    def _update_average(self, decay: float) -> None:
        pairs = zip(self.average.parameters(), self.generator.parameters(), strict=True)
        for averaged, current in pairs:
            averaged.lerp_(current, 1 - decay)

    def weights(self, count: int) -> dict[str, np.ndarray]:
        """The averaged generator's, its batch norms measured over so many latents.

        Raises
        ------
        FacegenError
            The engine's pictures differ from PyTorch's.
        """
        export.refresh_statistics(self.average, count)
        weights = self.average.canonical()
        export.check_against_engine(self.average, weights)
        return weights


def _seed(*parts: int) -> int:
    """One 63-bit seed of several numbers."""
    return int(np.random.SeedSequence(parts).generate_state(1, np.uint64)[0] >> np.uint64(1))
