"""Whole steps on a GPU of Hopper's generation, as on the CPU, of networks whose steps do others'.

A product has its operands from the step before it there, and does the ramp behind it; copies make
an operand together; pools and copies sum the gradient of a bias. Products are large enough for
Hopper's tensor cores: 2^26 multiply-adds or more each.

A ramp that decides otherwise than on the CPU, or a pool that finds another largest number, changes
a gradient by a whole term of its sum, however little was rounded. So none does: all that ramps and
pools read is made by layers whose inputs and weights are small integers, the weights of `WEIGHT`.
With a channel of the input that numbers pixels, three by three, in parts of these, and that the
middle tap adds, sums are multiples of `PART`, and those within a window are all different. Biases
are odd multiples of `PART` / 2, so that no sum is nearer to 0. Sums are some hundreds of `PART`:
the error of a product, `unit(HOPPER)`, is a hundredth of it, and three steps at these rates move
them by less than half of it.

What is left are the errors of products. A gradient has those of some four in a row and, of tensor
cores, of sums that are rounded towards 0: 16 units of the largest number, as in
test_products_on_hopper.py. Three steps change a weight by their rate times such gradients: it is 16
units of the largest change off, and what each step rounds. That this is enough is tested on the
CPU, with weights that are a unit off in the beginning.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from training_engines import FLOAT_EPS, HOPPER, skip_without_hopper, unit

from facegen import nn, train
from facegen.nn import Shape
from facegen.nn.grad.steps import Gemm, WeightGradient

TOLERANCE = 16 * unit(HOPPER)
STEPS = 3
LEAST_PRODUCT = 2**26  # kLeastProduct of csrc/cuda/fit/product_plan.cpp
WEIGHT = 2.0**-4  # of a layer whose weights are -1, 0 or 1 of it
PART = 2.0**-4 * WEIGHT
FIRST = ("front", "left", "right")  # layers that ramps and pools read


class Network(NamedTuple):
    """With a batch of so many images for it, and how a device is told to cut that."""

    graph: nn.Graph
    images: int
    rate: float
    loss: str = "l2"
    shares: int = 1
    parts: int = 1


def concatenated_first() -> Network:
    """The ramp reads the concatenation: its gradient is done by the product that makes it."""
    g = nn.Graph("concatenated first")
    x = g.input("x", Shape(20, 17, 16))
    both = [g.add(name, nn.Conv2d(16, 64, 3, padding=1), x) for name in ("left", "right")]
    x = g.add("relu", nn.ReLU(), g.add("both", nn.Concat(), *both))
    g.output(g.add("behind", nn.Conv2d(128, 24, 3, padding=1), x))
    return Network(g, images=24, rate=0.002)


def concatenated_behind() -> Network:
    """As in SqueezeNet: copies make an operand, and on the way back do the ramps and the biases."""
    g = nn.Graph("concatenated behind")
    x = g.input("x", Shape(20, 17, 16))
    both = []
    for name in ("left", "right"):
        y = g.add(name, nn.Conv2d(16, 64, 3, padding=1), x)
        both.append(g.add(f"{name}_relu", nn.ReLU(), y))
    x = g.add("both", nn.Concat(), *both)
    g.output(g.add("behind", nn.Conv2d(128, 24, 3, padding=1), x))
    return Network(g, images=24, rate=0.002)


def pooled(pool: nn.MaxPool2d) -> Network:
    """Of odd sides; the pool's gradient does the ramp's, and sums that of the bias."""
    g = nn.Graph("pooled")
    x = g.add("front", nn.Conv2d(16, 64, 3, padding=1), g.input("x", Shape(35, 27, 16)))
    x = g.add("pool", pool, g.add("relu", nn.ReLU(), x))
    g.output(g.add("behind", nn.Conv2d(64, 64, 3, padding=1), x))
    return Network(g, images=9, rate=0.0004)


def halved(images: int = 16, shares: int = 1, parts: int = 1) -> Network:
    """Maps of several sizes: the gradient of a stride has phases."""
    g = nn.Graph("halved")
    x = g.add("front", nn.Conv2d(16, 64, 5, padding=2), g.input("x", Shape(23, 17, 16)))
    x = g.add("leaky", nn.LeakyReLU(0.25), x)
    g.output(g.add("behind", nn.Conv2d(64, 96, 3, stride=2, padding=1), x))
    return Network(g, images, rate=0.002, shares=shares, parts=parts)


def labelled() -> Network:
    """A class a pixel, of a number of classes that are no fours."""
    g = nn.Graph("labelled")
    x = g.add("front", nn.Conv2d(8, 256, 3, padding=1), g.input("x", Shape(57, 57, 8)))
    g.output(g.add("head", nn.Conv2d(256, 21, 1), g.add("relu", nn.ReLU(), x)))
    return Network(g, images=4, rate=0.005, loss="cross_entropy")


NETWORKS: dict[str, Callable[[], Network]] = {
    "concatenated, then a ramp": concatenated_first,
    "ramps, then concatenated": concatenated_behind,
    "pool of 3x3, padded": lambda: pooled(nn.MaxPool2d(3, 2, padding=1)),
    "pool of 3x3": lambda: pooled(nn.MaxPool2d(3, 2)),
    "pool of 2x2, beyond the edge": lambda: pooled(nn.MaxPool2d(2, 2, ceil_mode=True)),
    "leaky ramp, stride 2": halved,
    "head of 21 classes": labelled,
    "in two parts": lambda: halved(images=32, parts=2),
    "in two shares": lambda: halved(images=32, shares=2),
}


def batch_of(network: Network) -> tuple[np.ndarray, np.ndarray]:
    """Images whose last channel numbers pixels, and targets."""
    random = np.random.default_rng(1)
    shapes = {node.name: node.shape for node in network.graph.nodes}
    shape = shapes["x"]
    x = random.integers(-2, 3, (network.images, *shape)).astype(np.float32)
    rows, columns = np.ogrid[: shape.height, : shape.width]
    x[..., -1] = (3 * (rows % 3) + columns % 3) * (PART / WEIGHT)
    shape = network.graph.nodes[-1].shape
    if network.loss == "cross_entropy":
        y = random.integers(-1, shape.channels, (network.images, shape.height, shape.width))
    else:
        y = random.standard_normal((network.images, *shape), np.float32)
    return x, y


def weights_of(network: Network) -> dict[str, np.ndarray]:
    random = np.random.default_rng(2)
    weights = {}
    for name, shape in network.graph.parameters.items():
        layer, _, kind = name.rpartition(".")
        if layer not in FIRST:
            size = 1.0 if kind == "bias" else np.prod(shape[1:]) ** -0.5
            weights[name] = random.uniform(-size, size, shape).astype(np.float32)
        elif kind == "bias":
            odd = 2 * random.integers(-8, 8, shape) + 1
            weights[name] = (odd * (PART / 2)).astype(np.float32)
        else:  # (outputs, height, width, inputs)
            weights[name] = (random.integers(-1, 2, shape) * WEIGHT).astype(np.float32)
            weights[name][..., -1] = 0
            weights[name][:, shape[1] // 2, shape[2] // 2, -1] = WEIGHT
    return weights


def make(
    network: Network, device: str, weights: dict[str, np.ndarray] | None = None
) -> train.Trainer:
    """A trainer with arrays of its own."""
    return train.Trainer(
        network.graph,
        network.loss,
        train.SGD(rate=network.rate, momentum=0.9),
        weights=weights_of(network) if weights is None else weights,
        threads=2,
        shares=network.shares,
        device=device,
    )


class Found(NamedTuple):
    """Of a trainer: by parameter, but for the losses."""

    losses: np.ndarray
    gradients: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]


def train_on(network: Network, trainer: train.Trainer) -> Found:
    x, y = batch_of(network)
    losses, gradients = trainer.gradients(x, y)
    for _ in range(STEPS):
        trainer.step(x, y, network.parts)
    return Found(losses, gradients, trainer.weights)


def assert_near(found: Found, expected: Found, before: dict[str, np.ndarray]) -> None:
    np.testing.assert_allclose(found.losses, expected.losses, rtol=TOLERANCE)
    assert found.gradients.keys() == expected.gradients.keys() == before.keys()
    for name, start in before.items():
        gradient, weight = expected.gradients[name], expected.weights[name]
        atol = TOLERANCE * np.abs(gradient).max()
        np.testing.assert_allclose(found.gradients[name], gradient, 0, atol, err_msg=name)
        rounded = 2 * STEPS * FLOAT_EPS * np.abs(start).max()  # here and there
        atol = TOLERANCE * np.abs(weight - start).max() + rounded
        np.testing.assert_allclose(found.weights[name], weight, 0, atol, err_msg=name)


@pytest.mark.parametrize("name", NETWORKS)
def test_errors_of_products_decide_nothing(name: str) -> None:
    """What the comparison with a GPU takes for granted, on the CPU."""
    network = NETWORKS[name]()
    for node in network.graph.nodes:
        if isinstance(node.layer, nn.Conv2d):
            images = network.images // (network.shares * network.parts)
            pixels = images * node.shape.height * node.shape.width
            size = np.prod(network.graph.parameters[f"{node.name}.weight"])
            assert pixels * size >= LEAST_PRODUCT, node.name
    random = np.random.default_rng(3)
    before = weights_of(network)
    off = {
        name: array * (1 + unit(HOPPER) * random.standard_normal(array.shape))
        for name, array in before.items()
    }
    expected = train_on(network, make(network, "cpu"))
    other = {name: array.astype(np.float32) for name, array in off.items()}
    start = {name: array.copy() for name, array in other.items()}
    found = train_on(network, make(network, "cpu", other))
    for name, array in found.weights.items():
        array += before[name] - start[name]
    assert_near(found, expected, before)


@pytest.mark.cuda
@pytest.mark.parametrize("name", NETWORKS)
def test_steps_are_the_cpus(name: str) -> None:
    skip_without_hopper()
    network = NETWORKS[name]()
    here, there = make(network, "cpu"), make(network, "cuda")
    expected, found = train_on(network, here), train_on(network, there)
    program = there.program
    steps = (*program.forward, *program.backward, *program.update)
    for step, kernel in zip(steps, there.kernels, strict=True):
        assert kernel == ("wgmma bf16x3" if isinstance(step, Gemm | WeightGradient) else ""), step
    assert_near(found, expected, weights_of(network))


@pytest.mark.cuda
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("input", "step 1 of pooled: input 0 has a number that is not finite, in image 5"),
        ("weight", "step 0 of pooled: front.weight has a number that is not finite"),
        ("front", "step 0 of pooled: the result of front+relu (step 0) for image 0 is not finite"),
        ("behind", "step 0 of pooled: the result of behind (step 2) for image 0 is not finite"),
    ],
)
@pytest.mark.parametrize("size", [2, 3])
def test_what_is_not_finite_is_found_where_the_cpu_finds_it(
    size: int, name: str, words: str
) -> None:
    """Also where a step has left to another what it writes on the CPU."""
    skip_without_hopper()
    network = pooled(nn.MaxPool2d(size, 2))
    x, y = batch_of(network)
    x = np.abs(x)  # sums of one sign overflow in whatever order they are added
    said = []
    for device in ("cpu", "cuda"):
        weights = weights_of(network)
        if name == "weight":
            weights["front.weight"][17, 2, 0, 3] = np.nan
        elif name != "input":
            weights[f"{name}.weight"][...] = 2.0**127
        trainer = make(network, device, weights)
        images = x.copy()
        if name == "input":
            trainer.step(x, y)
            images[5, 34, 3, 2] = np.nan
        before = trainer.state_dict()
        with pytest.raises(train.Diverged, match=re.escape(words)) as error:
            trainer.step(images, y)
        said.append(str(error.value))
        for array, was in zip(trainer.state_dict().values(), before.values(), strict=True):
            np.testing.assert_array_equal(array, was)
    assert said[0] == said[1]
