"""What must not change a bit of an op: the batch, the threads; and that nothing gives nothing."""

from __future__ import annotations

import numpy as np
import pytest
from one_layer import draw, draw_weights, every_gemm, every_isa, run_layer

from facegen.nn import (
    BatchNorm,
    Conv2d,
    ConvTranspose2d,
    InstanceNorm,
    MaxPool2d,
    Softmax,
    Tanh,
    Upsample,
)

LAYERS = {
    "conv2d": Conv2d(20, 40, 3, padding=1),
    "conv2d, stride 2": Conv2d(20, 40, 4, stride=2, padding=1),
    "conv_transpose2d": ConvTranspose2d(20, 40, 5, stride=2, padding=((1, 2), (1, 2))),
    "conv2d to 3 channels": Conv2d(20, 3, 3, padding=1),
    "conv_transpose2d to 3 channels": ConvTranspose2d(20, 3, 5, stride=2, padding=((1, 2), (1, 2))),
    "deep conv2d": Conv2d(20, 300, 1),
    "batch_norm": BatchNorm(20),
    "instance_norm": InstanceNorm(20),
    "max_pool2d": MaxPool2d(3, stride=2, ceil_mode=True),
    "softmax": Softmax(),
    "upsample": Upsample(scale=2),
    "tanh": Tanh(),
}
every_layer = pytest.mark.parametrize("name", LAYERS)


@every_gemm
@every_layer
def test_a_batch_equals_its_images_bit_for_bit(name, isa):
    layer = LAYERS[name]
    weights = {key: np.abs(value) for key, value in draw_weights(layer).items()}
    for n, h, w in ((17, 1, 1), (9, 4, 4), (5, 6, 7), (3, 9, 33)):
        if name == "conv2d, stride 2" and h == 1:
            continue
        if name == "max_pool2d" and h == 1:
            continue
        x = draw((n, h, w, 20))
        batch = run_layer(layer, x, weights=weights, isa=isa, threads=2)
        for i in range(n):
            single = run_layer(layer, x[i : i + 1], weights=weights, isa=isa)
            assert batch[i].tobytes() == single[0].tobytes()


@every_isa
@every_layer
def test_threads_do_not_change_a_bit(name, isa):
    layer = LAYERS[name]
    weights = {key: np.abs(value) for key, value in draw_weights(layer).items()}
    for n in (1, 3):
        x = draw((n, 8, 33, 20))
        alone = run_layer(layer, x, weights=weights, isa=isa)
        for threads in (2, 3, 8):
            together = run_layer(layer, x, weights=weights, isa=isa, threads=threads)
            assert alone.tobytes() == together.tobytes()


@every_isa
@every_layer
def test_an_empty_batch(name, isa):
    layer = LAYERS[name]
    weights = {key: np.abs(value) for key, value in draw_weights(layer).items()}
    assert run_layer(layer, np.empty((0, 8, 9, 20), np.float32), weights=weights, isa=isa).size == 0
