"""How good generated pictures are, measured against real ones without another network.

- Sliced Wasserstein distance (Rabin et al. 2011; Karras et al. 2018): patches of 7x7 at each level
  of a Laplacian pyramid, their distributions compared along random directions. Small is good; the
  64 level is about sharpness, the 16 level about shape and colour.
- Diversity: how far generated pictures are from each other, over how far real ones are. 1 is as
  diverse as the real ones, 0 is a collapse.
- Nearest: how far generated pictures are from the nearest real one, over how far real ones are from
  their nearest. Far under 1 is copying, far over 1 is what no real picture looks like.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

LEVELS = (64, 32, 16)
_PATCH = 7
_PATCHES = 64  # of a picture at a level
_DIRECTIONS = 512


def measure(real: Tensor, fake: Tensor, seed: int = 0) -> dict[str, float]:
    """All measures of two batches of pictures, (n, 3, 64, 64) in -1 to 1, of one size.

    Returns
    -------
    "swd64", "swd32", "swd16" (times 1000), "swd" (their mean), "diversity", "nearest".
    """
    generator = torch.Generator(real.device).manual_seed(seed)
    result = {}
    pyramids = _laplacian(real), _laplacian(fake)
    for level, of_real, of_fake in zip(LEVELS, *pyramids, strict=True):
        result[f"swd{level}"] = 1000 * _sliced_wasserstein(of_real, of_fake, generator)
    result["swd"] = sum(result.values()) / len(LEVELS)
    real_features, fake_features = features(real), features(fake)
    among_real = torch.cdist(real_features, real_features)
    among_fake = torch.cdist(fake_features, fake_features)
    result["diversity"] = float(among_fake.mean() / among_real.mean())
    among_real.fill_diagonal_(torch.inf)
    nearest_real = among_real.min(dim=1).values.mean()
    nearest_fake = torch.cdist(fake_features, real_features).min(dim=1).values.mean()
    result["nearest"] = float(nearest_fake / nearest_real)
    return result


def features(pictures: Tensor) -> Tensor:
    """Pictures at a quarter of their side as rows, (n, 768): distances of shape and colour."""
    return functional.avg_pool2d(pictures, 4).flatten(1)


def nearest(queries: Tensor, pictures: Tensor, chunk: int = 8192) -> tuple[Tensor, Tensor]:
    """Distance to the nearest of `pictures` and its index, by rows of `features`; each (n,)."""
    best = torch.full((len(queries),), torch.inf, device=queries.device)
    index = torch.zeros(len(queries), dtype=torch.long, device=queries.device)
    for start in range(0, len(pictures), chunk):
        values, places = torch.cdist(queries, pictures[start : start + chunk]).min(dim=1)
        closer = values < best
        best = torch.where(closer, values, best)
        index = torch.where(closer, places + start, index)
    return best, index


def _laplacian(pictures: Tensor) -> list[Tensor]:
    """Details of each level, coarsest picture last."""
    levels = []
    for _ in LEVELS[:-1]:
        smaller = _blur(pictures)[:, :, ::2, ::2]
        larger = functional.interpolate(smaller, scale_factor=2, mode="bilinear")
        levels.append(pictures - larger)
        pictures = smaller
    return [*levels, pictures]


def _blur(pictures: Tensor) -> Tensor:
    taps = torch.tensor([1.0, 4, 6, 4, 1], device=pictures.device) / 16
    kernel = (taps[:, None] * taps).expand(pictures.shape[1], 1, 5, 5)
    padded = functional.pad(pictures, (2, 2, 2, 2), mode="reflect")
    return functional.conv2d(padded, kernel, groups=pictures.shape[1])


def _patches(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """Random patches of every picture: (n * _PATCHES, 3 * _PATCH^2)."""
    n, channels, height, width = pictures.shape
    device = pictures.device
    y = torch.randint(height - _PATCH + 1, (n, _PATCHES), device=device, generator=generator)
    x = torch.randint(width - _PATCH + 1, (n, _PATCHES), device=device, generator=generator)
    step = torch.arange(_PATCH, device=device)
    rows = (y[:, :, None] + step)[:, :, :, None]  # (n, patches, 7, 1)
    columns = (x[:, :, None] + step)[:, :, None, :]
    picture = torch.arange(n, device=device)[:, None, None, None]
    patches = pictures.permute(0, 2, 3, 1)[picture, rows, columns]  # (n, patches, 7, 7, channels)
    return patches.reshape(n * _PATCHES, _PATCH * _PATCH, channels)


def _sliced_wasserstein(real: Tensor, fake: Tensor, generator: torch.Generator) -> float:
    a, b = _patches(real, generator), _patches(fake, generator)
    mean, deviation = a.mean(dim=(0, 1)), a.std(dim=(0, 1)) + 1e-8  # of each colour
    a, b = ((x - mean).div(deviation).flatten(1) for x in (a, b))
    directions = torch.randn(a.shape[1], _DIRECTIONS, device=a.device, generator=generator)
    directions /= directions.norm(dim=0)
    total = 0.0
    for part in directions.split(64, dim=1):  # bounded memory
        total += float(((a @ part).sort(dim=0).values - (b @ part).sort(dim=0).values).abs().mean())
    return total / (_DIRECTIONS / 64)
