"""A step of pix2pix, generator and discriminator, beside PyTorch's eager one: processor time.

python -m bench.pix2pix_training [--widths 64,16] [--turns 5]

One picture a step, one thread; the engines are processes of their own and take turns. PyTorch runs
in channels_last with the fused Adam, from the same forward pass as here: the picture that the
generator was judged by is what the discriminator then sees.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from bench.tables import markdown_table
from bench.training.turns import Step, take_turns
from facegen.networks.pix2pix import DECODER, DEPTH, ENCODER, SLOPE, WIDTH
from facegen.train.pix2pix.discriminator import STRIDES
from facegen.train.pix2pix.players import BETAS, Pix2PixSettings, Players

RATE, L1 = 2e-4, 100.0


def pair() -> np.ndarray:
    """A source and a target, (2, 1, 256, 256, 3)."""
    return np.random.default_rng(0).uniform(-1, 1, (2, 1, 256, 256, 3)).astype(np.float32)


def own_step(width: int) -> Step:
    source, target = pair()
    players = Players(Pix2PixSettings(width=width), steps=1_000_000, threads=1)
    return lambda: players.step(source, target)


def torch_networks(width: int, dropout: float) -> tuple[Any, Any]:
    """The generator and the discriminator, modules in the order of the layers' names here."""
    import torch
    from torch import nn
    from torch.nn import functional

    encoder, decoder = ([3, *(c * width // WIDTH for c in row[1:])] for row in (ENCODER, DECODER))

    class Norm(nn.BatchNorm2d):
        def __init__(self, channels: int) -> None:
            super().__init__(channels, track_running_stats=False)

        def forward(self, x: Any) -> Any:  # PyTorch refuses maps of one pixel
            alone = x.shape[2:] == (1, 1)
            return 0 * x + self.bias[:, None, None] if alone else super().forward(x)

    class Generator(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.down = nn.ModuleList(
                nn.Conv2d(a, b, 4, 2, 1) for a, b in zip(encoder, encoder[1:], strict=False)
            )
            ins = [2 * c for c in decoder[1:]] + [encoder[DEPTH]]
            self.up = nn.ModuleList(
                nn.ConvTranspose2d(a, b, 4, 2, 1) for a, b in zip(ins, decoder, strict=True)
            )
            self.down_norms = nn.ModuleList(map(Norm, encoder[2:]))
            self.up_norms = nn.ModuleList(map(Norm, decoder[1:]))

        def forward(self, x: Any) -> Any:
            maps = []
            for i, conv in enumerate(self.down):
                x = conv(functional.leaky_relu(x, SLOPE)) if i else conv(x)
                x = self.down_norms[i - 1](x) if i else x
                maps.append(x)
            for i in reversed(range(DEPTH)):
                x = torch.cat([x, maps[i]], 1) if i < DEPTH - 1 else x
                x = self.up[i](functional.relu(x))
                if i:
                    x = self.up_norms[i - 1](x)
                    x = functional.dropout(x, dropout) if i >= DEPTH - 3 else x
            return torch.tanh(x)

    discriminator = nn.Sequential()
    channels = 6
    for i, stride in enumerate(STRIDES):
        discriminator.append(nn.Conv2d(channels, width * min(1 << i, 8), 4, stride, 1))
        channels = width * min(1 << i, 8)
        if i:
            discriminator.append(Norm(channels))
        discriminator.append(nn.LeakyReLU(SLOPE, inplace=True))
    discriminator.append(nn.Conv2d(channels, 1, 4, 1, 1))
    return Generator(), discriminator


def torch_step(
    generator: Any, discriminator: Any, source: Any, target: Any, fused: bool = True
) -> Callable[[], tuple[float, float, float]]:
    """A step of both on pictures (1, 3, side, side); gives the losses l1, gan and discriminator."""
    import torch
    from torch.nn import functional

    adams = [
        torch.optim.Adam(network.parameters(), RATE, BETAS, fused=fused)
        for network in (generator, discriminator)
    ]
    def score(pictures: Any, real: float) -> Any:
        # One picture at a time: its norms are by its own statistics.
        scores = discriminator(torch.cat([source, pictures], 1))
        return functional.binary_cross_entropy_with_logits(scores, torch.full_like(scores, real))

    def step() -> tuple[float, float, float]:
        made = generator(source)
        discriminator.requires_grad_(False)
        adams[0].zero_grad()
        gan, l1 = score(made, 1.0), functional.l1_loss(made, target)
        (gan + L1 * l1).backward()
        adams[0].step()
        discriminator.requires_grad_(True)
        adams[1].zero_grad()
        loss = 0.5 * (score(target, 1.0) + score(made.detach(), 0.0))
        loss.backward()
        adams[1].step()
        return l1.item(), gan.item(), loss.item()

    return step


def step_of_torch(width: int) -> Step:
    import torch

    torch.set_num_threads(1)
    networks = (each.to(memory_format=torch.channels_last) for each in torch_networks(width, 0.5))
    pictures = (torch.from_numpy(each).permute(0, 3, 1, 2) for each in pair())
    return torch_step(*networks, *pictures)


ENGINES: dict[str, Callable[[int], Step]] = {"facegen": own_step, "PyTorch": step_of_torch}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--widths", default="64,16")
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()
    rows = []
    for width in map(int, arguments.widths.split(",")):
        makers = {name: (make, (width,)) for name, make in ENGINES.items()}
        best = {name: least[1] for name, least in take_turns(makers, arguments.turns).items()}
        ratio = best["PyTorch"] / best["facegen"]
        rows.append([str(width), *(f"{1 / s:.2f}" for s in best.values()), f"{ratio:.2f}"])
        print(*rows[-1], file=sys.stderr, flush=True)
    print(markdown_table(["width", *(f"{name}, steps/s" for name in ENGINES), "ratio"], rows))


if __name__ == "__main__":
    main()
