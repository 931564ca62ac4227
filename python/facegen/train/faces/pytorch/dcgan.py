"""The DCGAN in PyTorch: the generator of `facegen.networks.dcgan`, and a discriminator to train it.

PyTorch's tensors are NCHW by shape and NHWC in memory (``channels_last``), which is what the
matrix units of GPUs want. Weights have PyTorch's layouts here; `load_canonical` and
`canonical` translate.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from facegen.networks.dcgan import CHANNELS, KERNEL, LATENT

LAYERS = 5  # of the generator: the projection and four transposed convolutions
_BATCH_NORM = {"gamma": "weight", "beta": "bias", "mean": "running_mean", "var": "running_var"}


class Generator(nn.Module):
    """Latents (n, 100) -> pictures (n, 3, 64, 64) in -1 to 1."""

    def __init__(self) -> None:
        super().__init__()
        self.proj = nn.Linear(LATENT, 4 * 4 * CHANNELS[0])
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels, eps=1e-5) for channels in CHANNELS[:4])
        self.tconvs = nn.ModuleList(
            nn.ConvTranspose2d(CHANNELS[i], CHANNELS[i + 1], KERNEL, stride=2, padding=1)
            for i in range(4)
        )
        self.frozen = 0
        for layer in (self.proj, *self.tconvs):  # as Radford et al. 2015
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)
        for norm in self.norms:
            nn.init.normal_(norm.weight, 1.0, 0.02)

    def forward(self, latents: Tensor) -> Tensor:
        x = self.proj(latents)
        x = x.reshape(-1, 4, 4, CHANNELS[0]).permute(0, 3, 1, 2)  # (n, 512, 4, 4), NHWC in memory
        for norm, tconv in zip(self.norms, self.tconvs, strict=True):
            # TensorFlow's SAME puts tap r of pixel i at 2 i + r - 1 and cuts at 2 h; padding=1 cuts
            # the front alike and leaves one row and column too many at the end.
            x = tconv(functional.relu(norm(x)))[:, :, :-1, :-1]
        return torch.tanh(x.float())  # in full precision under autocast too

    def freeze(self, layers: int) -> None:
        """Keep the first layers, with their batch norms and their statistics, as they are."""
        if not 0 <= layers < LAYERS:
            raise ValueError(f"freeze: expected 0 to {LAYERS - 1} layers, found {layers}")
        self.frozen = layers
        parts = [(self.proj, self.norms[0]), *zip(self.tconvs[:3], self.norms[1:], strict=True)]
        for part in parts[:layers]:
            for module in part:
                module.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Generator:
        """Set the mode; batch norms of frozen layers stay in evaluation mode."""
        super().train(mode)
        for norm in self.norms[: self.frozen]:
            norm.eval()
        return self

    def canonical(self) -> dict[str, np.ndarray]:
        """Canonical weights, float32 on the CPU, batch norms with their running statistics."""
        return {name: _to_canonical(name, tensor) for name, tensor in self._named_tensors()}

    @torch.no_grad()
    def load_canonical(self, weights: Mapping[str, np.ndarray]) -> None:
        """Take over canonical weights of `facegen.networks.dcgan`."""
        for name, tensor in self._named_tensors():
            values = torch.from_numpy(weights[name].copy())
            if values.ndim == 4:  # (out, kh, kw, in) -> PyTorch's (in, out, kh, kw)
                values = values.permute(3, 0, 1, 2)
            tensor.copy_(values)

    def _named_tensors(self) -> list[tuple[str, Tensor]]:
        """Every tensor with its canonical name, in the order of the network's table."""
        tensors = [("proj.weight", self.proj.weight), ("proj.bias", self.proj.bias)]
        for i, (norm, tconv) in enumerate(zip(self.norms, self.tconvs, strict=True)):
            tensors += [(f"bn{i}.{part}", getattr(norm, _BATCH_NORM[part])) for part in _BATCH_NORM]
            tensors += [(f"tconv{i + 1}.weight", tconv.weight), (f"tconv{i + 1}.bias", tconv.bias)]
        return tensors


def _to_canonical(name: str, tensor: Tensor) -> np.ndarray:
    values = tensor.detach().float().cpu()
    if values.ndim == 4:  # (in, out, kh, kw) -> (out, kh, kw, in)
        values = values.permute(1, 2, 3, 0)
    return np.ascontiguousarray(values.numpy())


class Discriminator(nn.Module):
    """Pictures (n, 3, 64, 64) -> how real each looks, (n,).

    A layer and three residual blocks that halve the side each, without normalisation (the gradient
    penalty keeps it in check). The last map also sees how much the pictures of the batch differ
    (Karras et al. 2018), so a generator that makes one face gives itself away.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        channels = [width, 2 * width, 4 * width, 4 * width]
        self.first = nn.Conv2d(3, width, 4, stride=2, padding=1)
        self.blocks = nn.Sequential(
            *(Halve(channels[i], channels[i + 1]) for i in range(3))
        )  # (n, 4 width, 4, 4)
        self.mix = nn.Conv2d(channels[-1] + 1, channels[-1], 3, padding=1)
        self.hidden = nn.Linear(4 * 4 * channels[-1], channels[-1])
        self.score = nn.Linear(channels[-1], 1)
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(module.weight, a=0.2)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.normal_(self.score.weight, std=channels[-1] ** -0.5)

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.blocks(_leaky(self.first(pictures)))
        x = _leaky(self.mix(torch.cat([x, _spread(x)], dim=1)))
        x = _leaky(self.hidden(x.permute(0, 2, 3, 1).flatten(1)))
        return self.score(x).squeeze(1)


class Halve(nn.Module):
    """A residual block: (n, c, h, w) -> (n, d, h / 2, w / 2)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.keep = nn.Conv2d(channels_in, channels_in, 3, padding=1)
        self.halve = nn.Conv2d(channels_in, channels_out, 4, stride=2, padding=1)
        self.shortcut = nn.Conv2d(channels_in, channels_out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        residual = _leaky(self.halve(_leaky(self.keep(x))))
        shortcut = self.shortcut(functional.avg_pool2d(x, 2))
        return (residual + shortcut) * 0.5**0.5  # two terms of one variance


def _leaky(x: Tensor) -> Tensor:
    return functional.leaky_relu(x, 0.2)


def _spread(x: Tensor, group: int = 4) -> Tensor:
    """(n, 1, h, w): the mean standard deviation within each group of pictures of a batch."""
    n, _, h, w = x.shape
    group = group if n % group == 0 else n
    y = x.float().reshape(group, -1, *x.shape[1:])  # picture i is in group i mod (n / group)
    deviation = (y.var(dim=0, unbiased=False) + 1e-8).sqrt().mean(dim=(1, 2, 3))
    return deviation.repeat(group).view(n, 1, 1, 1).expand(n, 1, h, w).to(x.dtype)
