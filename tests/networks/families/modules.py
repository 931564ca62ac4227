"""Networks as PyTorch modules, with the names that torchvision's have; written from the papers."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod, sqrt
from typing import Any

import numpy as np
import pytest

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed")
nn = torch.nn


def filled(module: Any, seed: int, scale: dict[str, float] | None = None) -> Any:
    """The module with random weights that keep the scale, in float64, for inference.

    `scale` multiplies weights whose names end so.
    """
    random = np.random.default_rng(seed)
    state = module.state_dict()
    for name, values in state.items():
        if name.endswith("num_batches_tracked"):
            continue
        shape = tuple(values.shape)
        last = name.rpartition(".")[2]
        if len(shape) > 1:
            numbers = random.standard_normal(shape) * sqrt(2 / prod(shape[1:]))
        else:
            centre = 1.0 if last == "running_var" or _is_gamma(state, name) else 0.0
            numbers = centre + random.uniform(-0.2, 0.2, shape)
        for ending, factor in (scale or {}).items():
            numbers = numbers * (factor if name.endswith(ending) else 1)
        values.copy_(torch.from_numpy(numbers))
    return module.double().eval()


def _is_gamma(state: dict[str, Any], name: str) -> bool:
    return name.endswith("weight") and name.replace("weight", "running_mean") in state


def saved(module: Any, path: Any) -> dict[str, Any]:
    """Its state_dict as float32, which was also saved; the module has those numbers too."""
    state = {name: values.float() for name, values in module.state_dict().items()}
    torch.save(state, path)
    module.load_state_dict(state)
    return state


def evaluate(module: Any, x: np.ndarray) -> np.ndarray:
    """(n, h, w, c) -> (n, h, w, c) or (n, c)."""
    with torch.inference_mode():
        y = module(torch.from_numpy(x).double().permute(0, 3, 1, 2))
    return (y.permute(0, 2, 3, 1) if y.dim() == 4 else y).numpy()


class Bottleneck(nn.Module):
    def __init__(
        self, c: int, inner: int, k: int, stride: int, dilation: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(c, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(
            inner, inner, 3, stride, dilation, dilation, groups=groups, bias=False
        )
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, k, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(k)
        self.relu = nn.ReLU()
        self.downsample = None
        if stride != 1 or c != k:
            self.downsample = nn.Sequential(
                nn.Conv2d(c, k, 1, stride, bias=False), nn.BatchNorm2d(k)
            )

    def forward(self, x: Any) -> Any:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNetBackbone(nn.Module):
    """Up to layer4; `dilated` layers keep their size."""

    def __init__(
        self,
        blocks: Sequence[int],
        inner: Sequence[int],
        outer: Sequence[int],
        stem: int,
        dilated: Sequence[int] = (),
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, stem, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        c, dilation = stem, 1
        for i, count in enumerate(blocks, 1):
            before, stride = dilation, 1 if i == 1 else 2
            if i in dilated:
                dilation, stride = dilation * 2, 1
            mid, k = inner[i - 1], outer[i - 1]
            stage = [Bottleneck(c, mid, k, stride, before, groups)]
            stage += [Bottleneck(k, mid, k, 1, dilation, groups) for _ in range(count - 1)]
            setattr(self, f"layer{i}", nn.Sequential(*stage))
            c = k

    def stages(self, x: Any) -> list[Any]:
        x = self.maxpool(torch.relu(self.bn1(self.conv1(x))))
        found = []
        for i in range(1, 5):
            x = getattr(self, f"layer{i}")(x)
            found.append(x)
        return found


class ResNet(ResNetBackbone):
    def __init__(self, *sizes: Any, classes: int, **more: Any) -> None:
        super().__init__(*sizes, **more)
        self.fc = nn.Linear(sizes[2][-1], classes)

    def forward(self, x: Any) -> Any:
        return torch.softmax(self.fc(self.stages(x)[-1].mean((2, 3))), 1)


class VGG(nn.Module):
    def __init__(
        self,
        groups: Sequence[Sequence[int]],
        batch_norm: bool,
        hidden: tuple[int, int],
        classes: int,
    ) -> None:
        super().__init__()
        layers: list[Any] = []
        c = 3
        for group in groups:
            for k in group:
                norm = [nn.BatchNorm2d(k)] if batch_norm else []
                layers += [nn.Conv2d(c, k, 3, padding=1), *norm, nn.ReLU()]
                c = k
            layers.append(nn.MaxPool2d(2, 2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(c * 7 * 7, hidden[0]),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(*hidden),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(hidden[1], classes),
        )

    def forward(self, x: Any) -> Any:
        x = torch.flatten(self.avgpool(self.features(x)), 1)
        return torch.softmax(self.classifier(x), 1)


class Fire(nn.Module):
    def __init__(self, c: int, s: int, e1: int, e3: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(c, s, 1)
        self.expand1x1 = nn.Conv2d(s, e1, 1)
        self.expand3x3 = nn.Conv2d(s, e3, 3, padding=1)

    def forward(self, x: Any) -> Any:
        x = torch.relu(self.squeeze(x))
        return torch.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], 1))


class SqueezeNet(nn.Module):
    """Version 1.1, or 1.0."""

    def __init__(self, version: str, classes: int) -> None:
        super().__init__()

        def pool() -> Any:
            return nn.MaxPool2d(3, 2, ceil_mode=True)

        if version == "1_1":
            first = [nn.Conv2d(3, 64, 3, 2), nn.ReLU(), pool()]
            fires = [Fire(64, 16, 64, 64), Fire(128, 16, 64, 64), pool()]
            fires += [Fire(128, 32, 128, 128), Fire(256, 32, 128, 128), pool()]
            fires += [Fire(256, 48, 192, 192), Fire(384, 48, 192, 192)]
            fires += [Fire(384, 64, 256, 256), Fire(512, 64, 256, 256)]
        else:
            first = [nn.Conv2d(3, 96, 7, 2), nn.ReLU(), pool()]
            fires = [Fire(96, 16, 64, 64), Fire(128, 16, 64, 64), Fire(128, 32, 128, 128), pool()]
            fires += [Fire(256, 32, 128, 128), Fire(256, 48, 192, 192), Fire(384, 48, 192, 192)]
            fires += [Fire(384, 64, 256, 256), pool(), Fire(512, 64, 256, 256)]
        self.features = nn.Sequential(*first, *fires)
        last = [nn.Dropout(), nn.Conv2d(512, classes, 1), nn.ReLU(), nn.AdaptiveAvgPool2d((1, 1))]
        self.classifier = nn.Sequential(*last)

    def forward(self, x: Any) -> Any:
        return torch.softmax(torch.flatten(self.classifier(self.features(x)), 1), 1)
