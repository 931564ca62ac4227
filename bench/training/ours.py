"""Training by this package, a case at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from bench.training.cases import BETAS, RATE, SGD_RATE, Case, Gan, case, layers
from facegen import train
from facegen.engine.device import CPU
from facegen.engine.devices import PRECISIONS
from facegen.errors import DeviceError
from facegen.train import Trainer
from facegen.train.initial_weights import initial_weights

WARM_UP = 3  # steps

Step = Callable[[], list[np.ndarray]]
Run = Callable[[int], None]
Phases = dict[str, float | None]  # seconds of forward, backward and update; None: not to be told


class OwnLearner:
    """The trainers of a case, one or the two of a GAN.

    Raises
    ------
    ValueError, DeviceError
        For what the engine cannot do.
    """

    def __init__(self, name: str, precision: str, device: str, threads: int) -> None:
        self.case = case(name)
        self._new = partial(Trainer, precision=precision, device=device, threads=threads)
        made = self.case
        self._step, self._run, self.trainers = (
            self._of_gan(made) if isinstance(made, Gan) else self._of(made)
        )

    def _of(self, made: Case) -> tuple[Step, Run, list[Trainer]]:
        trainer = self._new(
            made.graph, made.loss, optimizer(made.optimizer), frozen=made.frozen
        )
        held: train.Held | None = None

        def run(count: int) -> None:
            nonlocal held
            if held is None:
                held = trainer.hold(made.x, made.y)
            trainer.run(held, np.tile(np.arange(made.images), (count, 1)))

        return lambda: [trainer.step(made.x, made.y)], run, [trainer]

    def _of_gan(self, made: Gan) -> tuple[Step, Run, list[Trainer]]:
        (image,), (score,) = made.generator.outputs, made.discriminator.outputs
        joined = train.join(made.generator, made.discriminator, outputs=(image.name, score.name))
        weights = initial_weights(made.discriminator, 0)
        generator = self._new(
            joined,
            {score.name: "binary_cross_entropy"},
            optimizer("adam"),
            weights={**initial_weights(made.generator, 0), **weights},
            frozen=layers(made.discriminator),
            outputs=(image.name,),
        )
        discriminator = self._new(
            made.discriminator, "binary_cross_entropy", optimizer("adam"), weights=weights
        )

        def step() -> list[np.ndarray]:
            generator.step(made.z, 1.0, wait=False)
            there = generator.device != CPU
            shown = train.Pieces([made.real, generator.output(image.name, on_device=there)])
            discriminator.step(shown, made.real_or_made, wait=False)
            return [trainer.wait()[-1] for trainer in (generator, discriminator)]

        there: list[Any] = []

        def run(count: int) -> None:
            """What the generator made stays on the GPU, where PyTorch has the real images."""
            if generator.device == CPU:
                for _ in range(count):
                    step()
                return
            import torch

            if not there:
                there.extend(torch.from_numpy(x).to(generator.device) for x in (made.z, made.real))
            z, real = there
            for _ in range(count):
                generator.step(z, 1.0, wait=False)
                images = generator.output(image.name, on_device=True)
                discriminator.step(train.Pieces([real, images]), made.real_or_made, wait=False)
            for trainer in (generator, discriminator):
                trainer.wait()

        return step, run, [generator, discriminator]

    def warm_up(self) -> None:
        """What first steps do beside computing."""
        for _ in range(WARM_UP):
            self.step()
        self.run(WARM_UP)

    def step(self) -> list[float]:
        """One step on a batch from the host; the mean loss of each network, before the change."""
        return [float(losses.mean()) for losses in self._step()]

    def run(self, count: int) -> None:
        """So many steps, done when it returns, on a batch that is on the device already."""
        self._run(count)

    def phases(self) -> Phases:
        """Of a GPU: kernels launched alone, and of the optimizer nothing."""
        self._step()
        found = dict.fromkeys(("forward", "backward", "update"), 0.0)
        for trainer in self.trainers:
            program, seconds = trainer.program, iter(trainer.step_seconds)
            for phase in found:
                found[phase] += sum(next(seconds) for _ in getattr(program, phase))
        return {phase: seconds or None for phase, seconds in found.items()}


def optimizer(name: str) -> train.Adam | train.SGD:
    return train.SGD(rate=SGD_RATE) if name == "sgd" else train.Adam(rate=RATE, betas=BETAS)


def accepted_precisions(device: str) -> list[str]:
    """Those that a trainer takes on a device and that differ: a few steps by each are compared.

    The first's error where it takes none.
    """
    made = case("discriminator-8")  # large products: small ones are float32's in any precision
    assert isinstance(made, Case)
    found: dict[bytes, str] = {}
    errors: list[Exception] = []
    for precision in PRECISIONS:
        try:
            trainer = Trainer(
                made.graph, made.loss, optimizer("adam"), precision=precision, device=device
            )
        except (ValueError, DeviceError) as error:
            errors.append(error)
            continue
        losses = [trainer.step(made.x, made.y) for _ in range(3)]
        found.setdefault(np.concatenate(losses).tobytes(), precision)
    if not found:
        raise errors[0]
    return list(found.values())
