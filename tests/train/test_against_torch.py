"""Losses of a hundred steps beside PyTorch's, from the same start.

Training is chaotic: where a ReLU or a pool decides otherwise by a rounding error, two runs part,
and so do PyTorch's in float32 and in float64. So the engine may be as far from float64 as
PyTorch's float32 is, within a factor, or within 1e-5 of the loss.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bench.training.cases import discriminator, generator
from facegen import nn, train
from facegen.networks import dcgan, lenet
from facegen.nn import Shape

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
functional = torch.nn.functional

CHAOS = 10  # how often as far from float64 as PyTorch's float32


class Module(torch.nn.Module):
    """A graph in PyTorch, NCHW, with canonical weights."""

    def __init__(self, graph: nn.Graph, weights: dict[str, np.ndarray], dtype: torch.dtype) -> None:
        super().__init__()
        self.graph = graph
        self.tensors = {
            name: torch.nn.Parameter(
                torch.tensor(array, dtype=dtype), requires_grad=not name.endswith((".mean", ".var"))
            )
            for name, array in weights.items()
        }

    def trained(self) -> dict[str, torch.nn.Parameter]:
        return {name: t for name, t in self.tensors.items() if t.requires_grad}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values = {}
        for node in self.graph.nodes:
            if node.layer is None:
                values[node.name] = x
                continue
            values[node.name] = self.layer(node, *(values[name] for name in node.inputs))
        return values[self.graph.outputs[0].name]

    def layer(self, node, x, other=None):
        layer, t = node.layer, lambda name: self.tensors.get(f"{node.name}.{name}")
        match layer:
            case nn.Conv2d():
                y, h = layer.axes
                x = functional.pad(x, (h.pad_front, h.pad_back, y.pad_front, y.pad_back))
                return functional.conv2d(
                    x,
                    t("weight").permute(0, 3, 1, 2),
                    t("bias"),
                    (y.stride, h.stride),
                    0,
                    (y.dilation, h.dilation),
                )
            case nn.ConvTranspose2d():
                y, h = layer.axes
                full = functional.conv_transpose2d(
                    x, t("weight").permute(3, 0, 1, 2), t("bias"), (y.stride, h.stride)
                )
                height, width = node.shape[:2]
                full = functional.pad(
                    full,
                    (
                        0,
                        max(0, width + h.pad_front - full.shape[3]),
                        0,
                        max(0, height + y.pad_front - full.shape[2]),
                    ),
                )
                return full[
                    :, :, y.pad_front : y.pad_front + height, h.pad_front : h.pad_front + width
                ]
            case nn.Linear():
                x = functional.linear(x.permute(0, 2, 3, 1), t("weight"), t("bias"))
                return x.permute(0, 3, 1, 2)
            case nn.BatchNorm():
                return functional.batch_norm(
                    x, t("mean").data, t("var").data, t("gamma"), t("beta"), True, 0.1, layer.eps
                )
            case nn.Reshape(shape=shape):
                x = x.permute(0, 2, 3, 1).reshape(len(x), *shape)
                return x.permute(0, 3, 1, 2)
            case nn.MaxPool2d():
                y, h = layer.axes
                return functional.max_pool2d(
                    x,
                    (y.kernel, h.kernel),
                    (y.stride, h.stride),
                    (y.pad_front, h.pad_front),
                    ceil_mode=layer.ceil_mode,
                )
            case nn.Add():
                return x + other
            case nn.Concat():
                return torch.cat([x, other], dim=1)
            case nn.ReLU():
                return functional.relu(x)
            case nn.LeakyReLU(slope=slope):
                return functional.leaky_relu(x, slope)
            case nn.Tanh():
                return torch.tanh(x)
            case nn.Softmax():
                return x  # of the loss
        raise NotImplementedError(str(layer))


def torch_losses(
    graph: nn.Graph,
    weights: dict[str, np.ndarray],
    batches: list[tuple[np.ndarray, np.ndarray]],
    loss: Callable,
    optimizer: Callable,
    dtype: torch.dtype,
) -> np.ndarray:
    module = Module(graph, weights, dtype)
    optimizer = optimizer(list(module.trained().values()))
    losses = []
    for x, y in batches:
        x = torch.tensor(x, dtype=dtype).permute(0, 3, 1, 2)
        value = loss(module(x), torch.tensor(y))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(float(value.detach()))
    return np.array(losses)


def decoder() -> nn.Graph:
    """The segmentation network's end in small: scores of two sizes, upsampled and added."""
    g = nn.Graph("decoder")
    x = g.input("map", Shape(9, 9, 32))
    small = g.add("pool", nn.MaxPool2d(3, 2), x)
    coarse = g.add(
        "score", nn.Conv2d(32, 21, 1), g.add("fire", nn.Conv2d(32, 32, 3, padding=1), small)
    )
    up = g.add("up", nn.ConvTranspose2d(21, 21, 3, stride=2), coarse)
    fine = g.add("fine", nn.Conv2d(32, 21, 1), x)
    both = g.add("both", nn.Add(), up, fine)
    g.output(g.add("last", nn.ConvTranspose2d(21, 21, 11, stride=4, padding=4), both))
    return g


RANDOM = np.random.default_rng(0)


def cases() -> dict:
    digits = RANDOM.random((10, 28, 28, 1), np.float32)

    def digit_batch() -> tuple:
        y = RANDOM.integers(0, 10, 64)
        noise = RANDOM.random((64, 28, 28, 1), np.float32)
        return digits[y] + 0.5 * noise, y

    def pixels() -> tuple:
        x = RANDOM.standard_normal((8, 9, 9, 32)).astype(np.float32)
        y = np.abs(x[..., :21]).argmax(axis=3).repeat(4, 1).repeat(4, 2)[:, :35, :35]
        return x, y

    adam = {"rate": 2e-4, "betas": (0.5, 0.999)}
    return {
        "lenet, sgd": (
            lenet.graph(),
            "cross_entropy",
            digit_batch,
            train.SGD(rate=0.01, momentum=0.9),
            lambda p: torch.optim.SGD(p, 0.01, momentum=0.9),
        ),
        "lenet, adam": (
            lenet.graph(),
            "cross_entropy",
            digit_batch,
            train.Adam(rate=3e-4),
            lambda p: torch.optim.Adam(p, 3e-4),
        ),
        "generator": (
            generator(8),
            "l2",
            lambda: (
                RANDOM.standard_normal((8, 1, 1, 100)).astype(np.float32),
                RANDOM.uniform(-1, 1, (8, 64, 64, 3)).astype(np.float32),
            ),
            train.Adam(**adam),
            lambda p: torch.optim.Adam(p, 2e-4, (0.5, 0.999)),
        ),
        "dcgan": (
            dcgan.graph(),
            "l1",
            lambda: (
                RANDOM.uniform(-1, 1, (4, 1, 1, 100)).astype(np.float32),
                RANDOM.uniform(-1, 1, (4, 64, 64, 3)).astype(np.float32),
            ),
            train.AdamW(**adam, weight_decay=0.01),
            lambda p: torch.optim.AdamW(p, 2e-4, (0.5, 0.999), weight_decay=0.01),
        ),
        "discriminator": (
            discriminator(8),
            "binary_cross_entropy",
            lambda: (
                RANDOM.uniform(-1, 1, (8, 64, 64, 3)).astype(np.float32),
                RANDOM.integers(0, 2, (8, 1, 1, 1)).astype(np.float32),
            ),
            train.Adam(**adam),
            lambda p: torch.optim.Adam(p, 2e-4, (0.5, 0.999)),
        ),
        "decoder": (
            decoder(),
            "cross_entropy",
            pixels,
            train.Adam(rate=1e-3),
            lambda p: torch.optim.Adam(p, 1e-3),
        ),
    }


LOSSES = {
    "cross_entropy": lambda p, y: functional.cross_entropy(
        p if y.ndim == 3 else p[..., 0, 0], y.long()
    ),
    "binary_cross_entropy": lambda p, y: functional.binary_cross_entropy_with_logits(
        p, y.permute(0, 3, 1, 2).to(p.dtype)
    ),
    "l1": lambda p, y: functional.l1_loss(p, y.permute(0, 3, 1, 2).to(p.dtype)),
    "l2": lambda p, y: functional.mse_loss(p, y.permute(0, 3, 1, 2).to(p.dtype)),
}
CASES = cases()


def measure(name: str, steps: int, precision: str = "strict") -> tuple[np.ndarray, np.ndarray]:
    """How far the engine's losses, and PyTorch's in float32, are from PyTorch's in float64."""
    graph, loss, batch, optimizer, torch_optimizer = CASES[name]
    trainer = train.Trainer(graph, loss, optimizer, seed=1, threads=2, precision=precision)
    weights = {key: array.copy() for key, array in trainer.weights.items()}
    batches = [batch() for _ in range(steps)]
    exact, rounded = (
        torch_losses(graph, weights, batches, LOSSES[loss], torch_optimizer, dtype)
        for dtype in (torch.float64, torch.float32)
    )
    own = np.array([trainer.step(*each).mean() for each in batches])
    return np.abs(own - exact) / exact, np.abs(rounded - exact) / exact


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_hundred_losses(name: str) -> None:
    own, rounded = measure(name, 100)
    assert own.max() <= max(1e-5, CHAOS * rounded.max()), (own.max(), rounded.max())


@pytest.mark.parametrize("name", ["lenet, adam", "generator", "discriminator", "decoder"])
def test_three_losses(name: str) -> None:
    own, _ = measure(name, 3)
    assert own.max() < 1e-5


if __name__ == "__main__":
    torch.set_num_threads(1)
    for case in CASES:
        for precision in ("strict", "float32"):
            mine, others = measure(case, 100, precision)
            print(
                f"{case:14} {precision:8} facegen {mine.max():.1e} PyTorch {others.max():.1e}; "
                f"first 20: {mine[:20].max():.1e} {others[:20].max():.1e}",
                flush=True,
            )
