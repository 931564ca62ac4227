"""All ops but sums of products against their definitions, on every engine."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from one_layer import draw, draw_weights, every_engine, every_isa, run_layer
from shapes import few, maps, pair_of

import tolerance
from bench import reference
from facegen.nn import (
    Add,
    Affine,
    BatchNorm,
    Concat,
    InstanceNorm,
    LeakyReLU,
    MaxPool2d,
    ReLU,
    Shape,
    Softmax,
    Tanh,
    Upsample,
)

MAPS = [(1, 1, 1, 1), (2, 3, 5, 7), (1, 8, 8, 16), (3, 2, 3, 17), (1, 7, 1, 33), (2, 1, 9, 64)]
every_map = pytest.mark.parametrize("shape", MAPS)


@every_engine
@every_map
def test_batch_norm(shape, isa, threads):
    x, layer = draw(shape), BatchNorm(shape[3])
    weights = draw_weights(layer)
    weights["var"] = weights["var"] ** 2
    got = run_layer(layer, x, weights=weights, isa=isa, threads=threads)
    scale = weights["gamma"] / np.sqrt(weights["var"].astype(np.float64) + layer.eps)
    magnitude = np.abs(scale * x) + np.abs(scale * weights["mean"]) + np.abs(weights["beta"])
    bound = tolerance.roundings(2, magnitude)
    tolerance.assert_within(got, reference.batch_norm(x, **weights), bound)


@every_engine
@pytest.mark.parametrize("shape", [*MAPS, (1, 40, 30, 5)])
def test_instance_norm(shape, isa, threads):
    # Far from zero mean, where a float32 sum of squares would cancel.
    x, layer = draw(shape) + np.float32(10), InstanceNorm(shape[3])
    weights = draw_weights(layer)
    got = run_layer(layer, x, weights=weights, isa=isa, threads=threads)
    want = reference.instance_norm(x, **weights)
    deviation = np.sqrt(x.astype(np.float64).var(axis=(1, 2), keepdims=True) + layer.eps)
    # The mean, rounded to float32, is subtracted from x: an error of a unit of the mean.
    magnitude = np.abs(weights["gamma"]) / deviation * np.abs(x) + np.abs(weights["beta"])
    tolerance.assert_within(got, want, tolerance.roundings(4, magnitude))


def test_instance_norm_of_one_pixel_is_beta():
    weights = {"gamma": draw((9,), 1), "beta": draw((9,), 2)}
    got = run_layer(InstanceNorm(9), draw((2, 1, 1, 9)), weights=weights)
    want = np.broadcast_to(weights["beta"], got.shape)
    np.testing.assert_array_equal(got, want)


POOLS = [
    {"kernel": 2},
    {"kernel": 3, "stride": 2},
    {"kernel": 3, "stride": 2, "ceil_mode": True},
    {"kernel": 3, "stride": 2, "padding": 1, "ceil_mode": True},
    {"kernel": (1, 3), "stride": (2, 1), "padding": ((0, 0), (2, 1))},
    {"kernel": 2, "stride": 3, "ceil_mode": True},
    {"kernel": 1, "stride": 2},
]


@every_engine
@pytest.mark.parametrize("options", POOLS, ids=str)
@pytest.mark.parametrize("shape", [(1, 3, 3, 1), (2, 7, 6, 17), (1, 13, 11, 33)])
def test_max_pool2d(options, shape, isa, threads):
    x = draw(shape) - np.float32(3)  # mostly negative: zeros around the input would win
    got = run_layer(MaxPool2d(**options), x, isa=isa, threads=threads)
    np.testing.assert_array_equal(got, reference.max_pool2d(x, **options))


@every_isa
@few
@given(maps, pair_of[5], pair_of[3], st.data(), st.booleans())
def test_max_pool2d_of_any_shape(isa, shape, kernel, stride, data, ceil_mode):
    below = [st.tuples(st.integers(0, k - 1), st.integers(0, k - 1)) for k in kernel]
    padding = data.draw(st.tuples(*below))
    for size, taps, pad in zip(shape[1:3], kernel, padding, strict=True):
        assume(size + sum(pad) >= taps)
    options = {"kernel": kernel, "stride": stride, "padding": padding, "ceil_mode": ceil_mode}
    x = draw(shape) - np.float32(3)
    got = run_layer(MaxPool2d(**options), x, isa=isa)
    np.testing.assert_array_equal(got, reference.max_pool2d(x, **options))


@every_engine
@pytest.mark.parametrize("shape", [*MAPS, (1, 2, 3, 313)])
@pytest.mark.parametrize("spread", [1, 30])
def test_softmax(shape, spread, isa, threads):
    x = draw(shape) * np.float32(spread)
    got = run_layer(Softmax(), x, isa=isa, threads=threads)
    want = reference.softmax(x)
    # x - max is rounded to its own size, and exp makes that a relative error.
    span = x.max(axis=-1, keepdims=True) - x.min(axis=-1, keepdims=True)
    bound = tolerance.roundings(1, (2 * tolerance.EXP + 3 + span) * want)
    tolerance.assert_within(got, want, bound)


@every_engine
@pytest.mark.parametrize(
    "options",
    [{"scale": 4}, {"scale": (1, 3)}, {"size": (5, 11)}, {"size": 1}, {"size": (2, 3)}],
    ids=str,
)
@every_map
def test_upsample_bilinear2d(options, shape, isa, threads):
    x = draw(shape)
    layer = Upsample(**options)
    got = run_layer(layer, x, isa=isa, threads=threads)
    height, width, _ = layer.output_shape(Shape(*x.shape[1:]))
    want = reference.upsample_bilinear2d(x, (height, width))
    tolerance.assert_within(got, want, tolerance.roundings(4, float(np.abs(x).max())))


@every_engine
@every_map
def test_activations(shape, isa, threads):
    x = draw(shape) * np.float32(3)
    x.flat[0] = 0
    got = run_layer(ReLU(), x, isa=isa, threads=threads)
    np.testing.assert_array_equal(got, reference.relu(x))
    got = run_layer(LeakyReLU(0.2), x, isa=isa, threads=threads)
    want = reference.leaky_relu(x, 0.2)
    tolerance.assert_within(got, want, tolerance.roundings(1, np.abs(want)))
    got = run_layer(Tanh(), x, isa=isa, threads=threads)
    want = np.tanh(x.astype(np.float64))
    tolerance.assert_within(got, want, tolerance.roundings(tolerance.TANH, 1.0))


@every_isa
def test_tanh_over_its_whole_range(isa):
    magnitudes = np.geomspace(1e-30, 1e30, 4001, dtype=np.float32)
    x = np.concatenate([-magnitudes, [0], magnitudes]).astype(np.float32)
    x = x.reshape(1, 1, -1, 1)
    got = run_layer(Tanh(), x, isa=isa)
    want = np.tanh(x.astype(np.float64))
    tolerance.assert_within(got, want, tolerance.roundings(tolerance.TANH, 1.0))
    assert (np.abs(got) <= 1).all()


@every_engine
@every_map
def test_concat_add_affine(shape, isa, threads):
    a, b = draw(shape, 1), draw(shape, 2)
    got = run_layer(Concat(), a, b, isa=isa, threads=threads)
    np.testing.assert_array_equal(got, np.concatenate([a, b], axis=-1))
    np.testing.assert_array_equal(run_layer(Add(), a, b, isa=isa, threads=threads), a + b)
    got = run_layer(Affine(0.01, -0.5), a, isa=isa, threads=threads)
    want = 0.01 * a.astype(np.float64) - 0.5
    tolerance.assert_within(got, want, tolerance.roundings(2, np.abs(0.01 * a) + 0.5))
