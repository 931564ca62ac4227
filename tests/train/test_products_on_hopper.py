"""Products of training on Hopper's tensor cores, of every kind and shape of tile."""

from __future__ import annotations

import numpy as np
import pytest
from training_engines import HOPPER, GpuTraining, make, skip_without_hopper, unit

from facegen import nn
from facegen._native import available_isas
from facegen.nn.grad import L2, SGD, differentiate
from facegen.nn.grad.steps import Gemm, WeightGradient

# A layer, its input's height and width, and images: several tiles of rows, of columns and of the
# depth, none of them full.
LAYERS = {
    "3x3": (nn.Conv2d(72, 200, 3, padding=1), (17, 13), 5),
    "4x4, stride 2": (nn.Conv2d(64, 128, 4, stride=2, padding=1, bias=False), (32, 32), 8),
    "5x5, stride 3, few images": (nn.Conv2d(33, 70, 5, stride=3, padding=2), (19, 31), 2),
    "dilated": (nn.Conv2d(40, 264, 3, padding=2, dilation=2), (9, 9), 3),
    "1x1": (nn.Conv2d(300, 520, 1), (6, 7), 4),
    "transposed, stride 2": (nn.ConvTranspose2d(96, 136, 4, stride=2, padding=1), (7, 8), 6),
    "transposed, stride 3": (nn.ConvTranspose2d(64, 64, 5, stride=3, padding=1), (5, 5), 3),
    "transposed, from a pixel": (nn.ConvTranspose2d(100, 512, 4, bias=False), (1, 1), 70),
    "taps that no output has": (nn.ConvTranspose2d(64, 64, 3, stride=3, padding=1), (1, 2), 40),
    "few channels": (nn.Conv2d(3, 5, 3, padding=1), (12, 12), 2),
    "few inputs, stride 2": (nn.Conv2d(3, 64, 4, stride=2, padding=1), (32, 32), 9),
    "few inputs, transposed": (nn.ConvTranspose2d(5, 70, 3, padding=1), (9, 8), 4),
    "few outputs": (nn.Conv2d(70, 3, 3, padding=1), (11, 12), 5),
    "few outputs, dilated": (nn.Conv2d(64, 2, 3, padding=2, dilation=2), (9, 9), 3),
    "few outputs, far padding": (nn.Conv2d(64, 4, 3, padding=4), (9, 10), 4),
    "few inputs, far padding": (nn.Conv2d(4, 64, 3, padding=4), (9, 10), 4),
    "columns that are no quads": (nn.Conv2d(64, 70, 3), (12, 12), 3),
    "few outputs, transposed": (nn.ConvTranspose2d(64, 3, 4, stride=2, padding=1), (16, 16), 9),
    "few outputs, stride 2": (nn.Conv2d(64, 5, 4, stride=2, padding=1), (14, 16), 4),
    "phases as channels": (nn.ConvTranspose2d(21, 21, 11, stride=4), (12, 13), 3),
    "phases as channels, padded": (nn.ConvTranspose2d(24, 20, 4, stride=2, padding=1), (9, 14), 5),
    "phases as channels, cropped": (
        nn.ConvTranspose2d(21, 24, 3, stride=2, padding=1, output_padding=1, bias=False), (8, 7), 4,
    ),
    "phases as channels, few inputs": (
        nn.ConvTranspose2d(12, 30, 5, stride=3, padding=2), (6, 11), 3,
    ),
    "phases as channels, many": (nn.ConvTranspose2d(21, 21, 16, stride=8, padding=4), (5, 6), 2),
    "phases as channels, many pixels": (nn.ConvTranspose2d(21, 21, 11, stride=4), (40, 40), 8),
    "to a pixel": (nn.Conv2d(512, 1, 4), (4, 4), 70),
    "many pixels": (nn.Conv2d(64, 64, 3, padding=1), (64, 64), 16),
    "linear": (nn.Linear(600, 333), (1, 1), 150),
}


# Of operands, relative to what is rounded.
ROUNDING = {"float32": unit(HOPPER), "bfloat16": 2.0**-9, "float16": 2.0**-12}
KERNELS = {"float32": "wgmma bf16x3", "bfloat16": "wgmma bf16", "float16": "wgmma fp16"}


@pytest.mark.cuda
@pytest.mark.parametrize("precision", ROUNDING)
@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str, precision: str) -> None:
    """Against plain float32; of float16 with gradients that are far below its range."""
    skip_without_hopper()
    layer, (height, width), images = LAYERS[name]
    graph = nn.Graph("layer")
    channels = layer.in_channels
    x = graph.input("x", nn.Shape(height, width, channels))
    graph.output(graph.add("tanh", nn.Tanh(), graph.add("layer", layer, x)))
    loss = L2(weight=1e-9 if precision == "float16" else 1.0)
    program = differentiate(graph, loss, SGD(rate=0.1), input_gradients=["x"])
    random = np.random.default_rng(0)
    weights = {
        parameter: random.uniform(-0.1, 0.1, shape).astype(np.float32)
        for parameter, shape in graph.parameters.items()
    }
    inputs = random.standard_normal((images, height, width, channels)).astype(np.float32)
    shape = (images, *graph.nodes[-1].shape)
    target = random.standard_normal(shape).astype(np.float32)
    results = {}
    for engine in ("strict", HOPPER):
        on_gpu = engine == HOPPER
        native = (
            GpuTraining(program, weights, "wgmma", precision)
            if on_gpu
            else make(program, weights, available_isas("strict")[0])
        )
        for _ in range(3):  # step by step, recorded, launched again
            losses = np.empty((1, images))
            native.step([inputs], [target], losses, [0.1], 0, 0, False, 2)
            found = [losses, native.kept(0), *map(native.gradient, program.trained)]
            for now, before in zip(found, results.setdefault(engine, found), strict=True):
                np.testing.assert_array_equal(now, before)
    steps = (*program.forward, *program.backward, *program.update)
    for step, kernel in zip(steps, native.kernels, strict=True):
        product = isinstance(step, Gemm | WeightGradient)
        # What no output has must stay zero, which the generic kernel leaves it.
        generic = isinstance(step, WeightGradient) and name == "taps that no output has"
        expected = "mma bf16x3" if generic else KERNELS[precision]
        assert kernel == (expected if product else ""), step
    # The products' errors are random, and both products of a gradient have some.
    for found, expected in zip(results[HOPPER], results["strict"], strict=True):
        most = np.abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=0, atol=16 * ROUNDING[precision] * most)
