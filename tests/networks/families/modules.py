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


def conv_norm(c: int, k: int, kernel: int, stride: int, activation: Any, **more: Any) -> Any:
    """As torchvision's Conv2dNormActivation."""
    eps = more.pop("eps", 1e-5)
    conv = nn.Conv2d(c, k, kernel, stride, kernel // 2, bias=False, **more)
    layers = [conv, nn.BatchNorm2d(k, eps=eps)]
    return nn.Sequential(*layers, *([activation()] if activation else []))


class InvertedResidual(nn.Module):
    """MobileNetV2's block."""

    def __init__(self, c: int, k: int, stride: int, widening: int) -> None:
        super().__init__()
        inner = c * widening
        layers = [conv_norm(c, inner, 1, 1, nn.ReLU6)] if widening != 1 else []
        layers += [conv_norm(inner, inner, 3, stride, nn.ReLU6, groups=inner)]
        layers += [nn.Conv2d(inner, k, 1, bias=False), nn.BatchNorm2d(k)]
        self.conv = nn.Sequential(*layers)
        self.adds = stride == 1 and c == k

    def forward(self, x: Any) -> Any:
        return x + self.conv(x) if self.adds else self.conv(x)


class MobileNetV2(nn.Module):
    def __init__(self, classes: int, divided: int = 1) -> None:
        """Widths are the paper's, `divided`."""
        super().__init__()
        c = 32 // divided
        layers = [conv_norm(3, c, 3, 2, nn.ReLU6)]
        table = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2)]
        table += [(6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
        for widening, k, count, stride in table:
            for i in range(count):
                layers.append(InvertedResidual(c, k // divided, stride if i == 0 else 1, widening))
                c = k // divided
        layers.append(conv_norm(c, 1280 // divided, 1, 1, nn.ReLU6))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280 // divided, classes))

    def forward(self, x: Any) -> Any:
        return torch.softmax(self.classifier(self.features(x).mean((2, 3))), 1)


class SqueezeExcitation(nn.Module):
    def __init__(self, c: int, squeezed: int) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(c, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, c, 1)

    def forward(self, x: Any) -> Any:
        y = self.fc2(torch.relu(self.fc1(self.avgpool(x))))
        return x * nn.functional.hardsigmoid(y)


def divisible(channels: int) -> int:
    """The multiple of 8 next to it, and not less than nine tenths of it."""
    rounded = max(8, (channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


class MobileBlock(nn.Module):
    """MobileNetV3's block."""

    def __init__(
        self, c: int, kernel: int, inner: int, k: int, squeezes: bool, swish: bool, stride: int
    ) -> None:
        super().__init__()
        activation = nn.Hardswish if swish else nn.ReLU
        layers = [conv_norm(c, inner, 1, 1, activation, eps=1e-3)] if inner != c else []
        layers += [conv_norm(inner, inner, kernel, stride, activation, eps=1e-3, groups=inner)]
        layers += [SqueezeExcitation(inner, divisible(inner // 4))] if squeezes else []
        layers += [conv_norm(inner, k, 1, 1, None, eps=1e-3)]
        self.block = nn.Sequential(*layers)
        self.adds = stride == 1 and c == k

    def forward(self, x: Any) -> Any:
        return x + self.block(x) if self.adds else self.block(x)


# Kernel, channels within, channels out, squeeze-and-excite, hard swish, stride: the paper's tables.
LARGE = [
    (3, 16, 16, 0, 0, 1), (3, 64, 24, 0, 0, 2), (3, 72, 24, 0, 0, 1), (5, 72, 40, 1, 0, 2),
    (5, 120, 40, 1, 0, 1), (5, 120, 40, 1, 0, 1), (3, 240, 80, 0, 1, 2), (3, 200, 80, 0, 1, 1),
    (3, 184, 80, 0, 1, 1), (3, 184, 80, 0, 1, 1), (3, 480, 112, 1, 1, 1), (3, 672, 112, 1, 1, 1),
    (5, 672, 160, 1, 1, 2), (5, 960, 160, 1, 1, 1), (5, 960, 160, 1, 1, 1),
]  # fmt: skip
SMALL = [
    (3, 16, 16, 1, 0, 2), (3, 72, 24, 0, 0, 2), (3, 88, 24, 0, 0, 1), (5, 96, 40, 1, 1, 2),
    (5, 240, 40, 1, 1, 1), (5, 240, 40, 1, 1, 1), (5, 120, 48, 1, 1, 1), (5, 144, 48, 1, 1, 1),
    (5, 288, 96, 1, 1, 2), (5, 576, 96, 1, 1, 1), (5, 576, 96, 1, 1, 1),
]  # fmt: skip


class MobileNetV3(nn.Module):
    def __init__(self, table: Sequence[Sequence[int]], hidden: int, classes: int) -> None:
        super().__init__()
        c = 16
        layers = [conv_norm(3, c, 3, 2, nn.Hardswish, eps=1e-3)]
        for kernel, inner, k, squeezes, swish, stride in table:
            layers.append(MobileBlock(c, kernel, inner, k, bool(squeezes), bool(swish), stride))
            c = k
        layers.append(conv_norm(c, 6 * c, 1, 1, nn.Hardswish, eps=1e-3))
        self.features = nn.Sequential(*layers)
        last = [nn.Linear(6 * c, hidden), nn.Hardswish(), nn.Dropout(), nn.Linear(hidden, classes)]
        self.classifier = nn.Sequential(*last)

    def forward(self, x: Any) -> Any:
        return torch.softmax(self.classifier(self.features(x).mean((2, 3))), 1)


class ResnetBlock(nn.Module):
    """Of pytorch-CycleGAN-and-pix2pix."""

    def __init__(self, c: int, norm: Any, bias: bool, dropout: bool) -> None:
        super().__init__()
        layers = [nn.ReflectionPad2d(1), nn.Conv2d(c, c, 3, bias=bias), norm(c), nn.ReLU(True)]
        layers += [nn.Dropout(0.5)] if dropout else []
        layers += [nn.ReflectionPad2d(1), nn.Conv2d(c, c, 3, bias=bias), norm(c)]
        self.conv_block = nn.Sequential(*layers)

    def forward(self, x: Any) -> Any:
        return x + self.conv_block(x)


class ResnetGenerator(nn.Module):
    def __init__(self, width: int, blocks: int, norm: Any, dropout: bool = False) -> None:
        super().__init__()
        bias = norm is not nn.BatchNorm2d

        def relu(c: int) -> list[Any]:
            return [norm(c), nn.ReLU(True)]

        layers = [nn.ReflectionPad2d(3), nn.Conv2d(3, width, 7, bias=bias), *relu(width)]
        for c in (width, 2 * width):
            layers += [nn.Conv2d(c, 2 * c, 3, 2, 1, bias=bias), *relu(2 * c)]
        layers += [ResnetBlock(4 * width, norm, bias, dropout) for _ in range(blocks)]
        for c in (4 * width, 2 * width):
            up = nn.ConvTranspose2d(c, c // 2, 3, 2, 1, output_padding=1, bias=bias)
            layers += [up, *relu(c // 2)]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def forward(self, x: Any) -> Any:
        return self.model(x)


class Segmentation(nn.Module):
    """An FCN, or a DeepLabV3 where `pyramid` has the channels of a branch and behind project."""

    def __init__(
        self,
        backbone: Any,
        hidden: int,
        pyramid: tuple[int, int] | None = None,
        aux: int = 0,
        classes: int = 21,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        c = backbone.layer4[0].conv3.out_channels
        head: list[Any] = []
        if pyramid is not None:
            head, c = [Pyramid(c, *pyramid)], pyramid[1]
        head += [nn.Conv2d(c, hidden, 3, padding=1, bias=False), nn.BatchNorm2d(hidden), nn.ReLU()]
        head += [nn.Dropout(0.1)] if pyramid is None else []
        self.classifier = nn.Sequential(*head, nn.Conv2d(hidden, classes, 1))
        if aux:  # of layer3, for training
            c = backbone.layer3[0].conv3.out_channels
            conv = nn.Conv2d(c, aux, 3, padding=1, bias=False)
            last = nn.Conv2d(aux, classes, 1)
            self.aux_classifier = nn.Sequential(
                conv, nn.BatchNorm2d(aux), nn.ReLU(), nn.Dropout(0.1), last
            )

    def forward(self, x: Any) -> Any:
        y = self.classifier(self.backbone.stages(x)[-1])
        return nn.functional.interpolate(y, x.shape[-2:], mode="bilinear", align_corners=False)


class Pyramid(nn.Module):
    def __init__(self, c: int, branch: int, k: int) -> None:
        super().__init__()

        def sequence(*first: Any) -> Any:
            return nn.Sequential(*first, nn.BatchNorm2d(first[-1].out_channels), nn.ReLU())

        branches = [sequence(nn.Conv2d(c, branch, 1, bias=False))]
        for d in (12, 24, 36):
            conv = nn.Conv2d(c, branch, 3, padding=d, dilation=d, bias=False)
            branches.append(sequence(conv))
        pooled = sequence(nn.AdaptiveAvgPool2d(1), nn.Conv2d(c, branch, 1, bias=False))
        self.convs = nn.ModuleList([*branches, pooled])
        self.project = sequence(nn.Conv2d(5 * branch, k, 1, bias=False))
        self.project.append(nn.Dropout(0.5))

    def forward(self, x: Any) -> Any:
        maps = [conv(x) for conv in self.convs]
        maps[-1] = nn.functional.interpolate(maps[-1], x.shape[-2:], mode="bilinear")
        return self.project(torch.cat(maps, 1))
