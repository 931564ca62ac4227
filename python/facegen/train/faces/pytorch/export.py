"""From the trained generator to a file that facegen runs, checked on the way."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from facegen.errors import FacegenError
from facegen.networks.dcgan import LATENT
from facegen.train.faces.pytorch.dcgan import Generator

# PyTorch and the engine add the same products in another order: 12,800 of them at most, then tanh.
TOLERANCE = 1e-5


def latents(count: int, generator: torch.Generator) -> Tensor:
    """Uniform in -1 to 1, (count, 100), on the random generator's device."""
    shape = (count, LATENT)
    return torch.rand(shape, generator=generator, device=generator.device) * 2 - 1


@torch.no_grad()
def refresh_statistics(
    network: Generator, count: int, seed: int = 0, batch: int = 256
) -> None:
    """Measure the statistics of all batch norms that are not frozen anew, over `count` latents.

    Averaged weights never saw the statistics that their layers produce: those of training belong to
    the weights of single steps.
    """
    device = network.proj.weight.device
    random = torch.Generator(device).manual_seed(seed)
    norms = list(network.norms[network.frozen :])
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # plain averages over the batches
    was_training = network.training
    network.train()
    for start in range(0, count, batch):
        network(latents(min(batch, count - start), random))
    network.train(was_training)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def check_against_engine(
    network: Generator, weights: Mapping[str, np.ndarray], count: int = 16
) -> float:
    """Largest difference between PyTorch's pictures on the CPU and the engine's.

    Raises
    ------
    FacegenError
        It is above 1e-5.
    """
    from facegen import networks

    inputs = networks.dcgan.latents(range(count))
    on_cpu = Generator().eval()
    on_cpu.load_state_dict(network.state_dict())
    with torch.no_grad():
        expected = on_cpu(torch.from_numpy(inputs)).permute(0, 2, 3, 1).numpy()
    engine = networks.dcgan.Generator(weights, device="cpu", precision="strict")
    difference = float(np.abs(engine(inputs) - expected).max())
    if not difference <= TOLERANCE:
        raise FacegenError(
            f"the exported network differs from PyTorch's by {difference:.2g}, "
            f"expected {TOLERANCE:.0e} at most"
        )
    return difference
