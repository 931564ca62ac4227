"""Both networks against PyTorch in float64, written from the paper's table, not from our graphs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from facegen.engine import Runner
from facegen.networks.segmentation import SEGMENTATION
from facegen.networks.squeezenet import SQUEEZENET, SQUEEZENET_TORCHVISION
from facegen.nn import lower
from tolerance import EPS, assert_within

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed")
F = torch.nn.functional


class Table:
    """Layers by name, NCHW, float64."""

    def __init__(self, weights: dict[str, np.ndarray]) -> None:
        self.weights = {name: torch.from_numpy(w).double() for name, w in weights.items()}

    def conv(self, name: str, x: Any, **options: Any) -> Any:
        weight = self.weights[f"{name}.weight"].permute(0, 3, 1, 2)
        return F.conv2d(x, weight, self.weights[f"{name}.bias"], **options)

    def tconv(self, name: str, x: Any, stride: int) -> Any:
        weight = self.weights[f"{name}.weight"].permute(3, 0, 1, 2)
        return F.conv_transpose2d(x, weight, stride=stride)

    def fire(self, name: str, x: Any) -> Any:
        s = F.relu(self.conv(f"{name}/squeeze1x1", x))
        e1 = F.relu(self.conv(f"{name}/expand1x1", s))
        e3 = F.relu(self.conv(f"{name}/expand3x3", s, padding=1))
        return torch.cat([e1, e3], 1)

    def encode(self, x: Any) -> tuple[Any, ...]:
        x = pool1 = F.max_pool2d(F.relu(self.conv("conv1", x, stride=2)), 3, 2, ceil_mode=True)
        for name in ("fire2", "fire3", "fire4"):
            x = self.fire(name, x)
        x = pool4 = F.max_pool2d(x, 3, 2, ceil_mode=True)
        for name in ("fire5", "fire6", "fire7", "fire8"):
            x = self.fire(name, x)
        x = pool8 = F.max_pool2d(x, 3, 2, ceil_mode=True)
        return pool1, pool4, pool8, self.fire("fire9", x)

    def segment(self, x: Any) -> Any:
        pool1, pool4, pool8, x = self.encode(x)
        x = F.relu(self.conv("conv10", x))
        x = self.conv("score_conv10", x) + self.conv("score_pool8", pool8)
        x = self.tconv("conv11", x, 2) + self.conv("score_pool4", pool4)
        x = self.tconv("conv12", x, 2) + self.conv("score_pool1", pool1)
        return self.tconv("conv13", x, 4)

    def classify(self, x: Any, last: str, padding: int) -> Any:
        x = F.relu(self.conv(last, self.encode(x)[-1], padding=padding))
        return torch.softmax(x.mean((2, 3), keepdim=True), 1)


def run(network: Any, side: int) -> tuple[np.ndarray, np.ndarray, Table]:
    """An input, our output, and the table."""
    weights = network.initial_weights(9)
    x = np.random.default_rng(9).uniform(-128, 128, (1, side, side, 3)).astype(np.float32)
    runner = Runner(lower(network.graph(), weights), "cpu", precision="strict")
    return x, runner(x), Table(weights)


def nchw(x: np.ndarray) -> Any:
    return torch.from_numpy(x).double().permute(0, 3, 1, 2)


def nhwc(x: Any) -> np.ndarray:
    return x.permute(0, 2, 3, 1).numpy()


# 28 layers of sums of up to 4,608 products, as in test_segmenter.
DEPTH_BOUND = 2 * 28 * np.sqrt(4608) * EPS


def test_segmentation() -> None:
    x, got, table = run(SEGMENTATION, 227)
    want = nhwc(table.segment(nchw(x)))
    assert_within(got, want, DEPTH_BOUND * np.abs(want).max())


@pytest.mark.parametrize(
    ("network", "side", "last", "padding"),
    [(SQUEEZENET, 227, "conv10", 1), (SQUEEZENET_TORCHVISION, 224, "classifier", 0)],
    ids=["squeezenet", "torchvision"],
)
def test_classifiers(network: Any, side: int, last: str, padding: int) -> None:
    x, got, table = run(network, side)
    want = nhwc(table.classify(nchw(x), last, padding))
    assert_within(got, want, DEPTH_BOUND * 10 * want)
