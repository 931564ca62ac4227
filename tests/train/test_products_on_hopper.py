"""Products of training on Hopper's tensor cores, of every kind and shape of tile."""

from __future__ import annotations

import numpy as np
import pytest
from training_engines import GPUS, HOPPER, make, unit

from facegen import nn
from facegen.engine.cuda import cuda_module
from facegen.nn.grad import SGD, differentiate
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
    "few channels": (nn.Conv2d(3, 5, 3, padding=1), (12, 12), 2),
    "many pixels": (nn.Conv2d(64, 64, 3, padding=1), (64, 64), 16),
    "linear": (nn.Linear(600, 333), (1, 1), 150),
}


@pytest.mark.cuda
@pytest.mark.parametrize("name", LAYERS)
def test_layers(name: str) -> None:
    if cuda_module().devices()[0]["capability"][0] != 9:
        pytest.skip("no GPU of Hopper's generation")
    layer, (height, width), images = LAYERS[name]
    graph = nn.Graph("layer")
    channels = layer.in_features if isinstance(layer, nn.Linear) else layer.in_channels
    x = graph.input("x", nn.Shape(height, width, channels))
    graph.output(graph.add("tanh", nn.Tanh(), graph.add("layer", layer, x)))
    program = differentiate(graph, "l2", SGD(rate=0.1), input_gradients=["x"])
    random = np.random.default_rng(0)
    weights = {
        parameter: random.uniform(-0.1, 0.1, shape).astype(np.float32)
        for parameter, shape in graph.parameters.items()
    }
    inputs = random.standard_normal((images, height, width, channels)).astype(np.float32)
    shape = (images, *graph.nodes[-1].shape)
    target = random.standard_normal(shape).astype(np.float32)
    results = {}
    for engine in ("strict", *GPUS):
        native = make(program, weights, None if engine == "strict" else engine)
        for _ in range(3):  # step by step, recorded, launched again
            losses = np.empty((1, images))
            native.step([inputs], [target], losses, [0.1], 0, 0, False, 2)
            found = [losses, native.kept(0), *map(native.gradient, program.trained)]
            for now, before in zip(found, results.setdefault(engine, found), strict=True):
                np.testing.assert_array_equal(now, before)
        if engine == HOPPER:
            steps = (*program.forward, *program.backward, *program.update)
            for step, kernel in zip(steps, native.kernels, strict=True):
                product = isinstance(step, Gemm | WeightGradient)
                assert kernel == ("wgmma bf16x3" if product else ""), step
    for engine in GPUS:
        for found, expected in zip(results[engine], results["strict"], strict=True):
            most = np.abs(expected).max()
            np.testing.assert_allclose(found, expected, rtol=0, atol=64 * unit(engine) * most)
