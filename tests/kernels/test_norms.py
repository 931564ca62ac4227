"""Norms over groups, pixels and channels, and what moves channels, on every engine."""

from __future__ import annotations

import numpy as np
import pytest
from one_layer import draw, draw_weights, every_engine, run_layer

import tolerance
from bench import reference
from facegen.nn import (
    ChannelShuffle,
    DepthToSpace,
    GroupNorm,
    LayerNorm,
    LocalResponseNorm,
    LogSoftmax,
    Shape,
    SpaceToDepth,
)

GROUPS = [
    ((2, 5, 7, 12), 3),
    ((1, 3, 4, 33), 11),
    ((2, 9, 9, 64), 32),
    ((1, 1, 1, 8), 2),
    ((3, 2, 3, 5), 1),
]


@every_engine
@pytest.mark.parametrize(("shape", "groups"), GROUPS, ids=str)
@pytest.mark.parametrize("offset", [0, 10])
def test_group_norm(shape, groups, offset, isa, threads):
    x, layer = draw(shape) + np.float32(offset), GroupNorm(groups, shape[3])
    weights = draw_weights(layer)
    got = run_layer(layer, x, weights=weights, isa=isa, threads=threads)
    want = reference.group_norm(x, **weights, groups=groups)
    grouped = x.astype(np.float64).reshape(*shape[:3], groups, -1)
    deviation = np.sqrt(grouped.var(axis=(1, 2, 4)) + layer.eps)
    deviation = np.repeat(deviation, shape[3] // groups, axis=1)[:, None, None, :]
    # The mean, rounded to float32, is subtracted from x: an error of a unit of the mean.
    magnitude = np.abs(weights["gamma"]) / deviation * (np.abs(x) + offset + 1) + np.abs(want)
    tolerance.assert_within(got, want, tolerance.roundings(4, magnitude + np.abs(weights["beta"])))


@every_engine
@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 1, 1, 96), (1, 4, 3, 33), (2, 2, 2, 768)])
@pytest.mark.parametrize("offset", [0, 10])
def test_layer_norm(shape, offset, isa, threads):
    x, layer = draw(shape) + np.float32(offset), LayerNorm(shape[3], eps=1e-6)
    weights = draw_weights(layer)
    got = run_layer(layer, x, weights=weights, isa=isa, threads=threads)
    want = reference.layer_norm(x, **weights, eps=1e-6)
    deviation = np.sqrt(x.astype(np.float64).var(axis=3, keepdims=True) + 1e-6)
    mean = np.abs(x.astype(np.float64).mean(axis=3, keepdims=True))
    magnitude = np.abs(weights["gamma"]) / deviation * (np.abs(x) + mean) + np.abs(want)
    tolerance.assert_within(got, want, tolerance.roundings(5, magnitude + np.abs(weights["beta"])))


@every_engine
@pytest.mark.parametrize(
    "layer",
    [
        LocalResponseNorm(5),
        LocalResponseNorm(5, 2e-1, 0.75, 2.0),
        LocalResponseNorm(4, 1.0, 0.5),
        LocalResponseNorm(1, 1.0, 1.0),
        LocalResponseNorm(99, 1.0, 0.75),
    ],
    ids=str,
)
@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 2, 2, 96), (1, 1, 3, 1)])
def test_local_response_norm(layer, shape, isa, threads):
    x = draw(shape) * np.float32(3)
    got = run_layer(layer, x, isa=isa, threads=threads)
    want = reference.run_layer(layer, [x], {}, "")
    tolerance.assert_within(got, want, tolerance.roundings(12, np.abs(want)))


@every_engine
@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 1, 1, 1000), (1, 4, 3, 1)])
@pytest.mark.parametrize("spread", [1, 30])
def test_log_softmax(shape, spread, isa, threads):
    x = draw(shape) * np.float32(spread)
    got = run_layer(LogSoftmax(), x, isa=isa, threads=threads)
    want = reference.log_softmax(x)
    tolerance.assert_within(got, want, tolerance.roundings(4, np.abs(x).max() + np.abs(want) + 8))


@every_engine
@pytest.mark.parametrize("groups", [1, 2, 3, 12])
def test_channel_shuffle(groups, isa, threads):
    x = draw((2, 3, 5, 12))
    got = run_layer(ChannelShuffle(groups), x, isa=isa, threads=threads)
    np.testing.assert_array_equal(got, reference.channel_shuffle(x, groups))


@every_engine
@pytest.mark.parametrize("depth_first", [False, True])
@pytest.mark.parametrize("block", [1, 2, 3])
def test_blocks_and_channels(block, depth_first, isa, threads):
    deep, large = draw((2, 3, 4, 36)), draw((2, 6, 12, 5))
    got = run_layer(DepthToSpace(block, depth_first), deep, isa=isa, threads=threads)
    np.testing.assert_array_equal(got, reference.depth_to_space(deep, block, depth_first))
    got = run_layer(SpaceToDepth(block, depth_first), large, isa=isa, threads=threads)
    np.testing.assert_array_equal(got, reference.space_to_depth(large, block, depth_first))


def test_definitions_are_pytorch_s():
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    x = draw((2, 4, 6, 12)).astype(np.float64)
    tensor = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
    gamma, beta = draw((12,), 1), draw((12,), 2)
    parameters = torch.from_numpy(gamma).double(), torch.from_numpy(beta).double()
    pairs = [
        (
            functional.group_norm(tensor, 3, *parameters),
            reference.group_norm(x, gamma, beta, groups=3),
        ),
        (
            functional.local_response_norm(tensor, 5, 0.3, 0.7, 2.0),
            reference.local_response_norm(x, size=5, alpha=0.3, beta=0.7, k=2.0),
        ),
        (functional.pixel_shuffle(tensor, 2), reference.depth_to_space(x, 2, False)),
        (functional.pixel_unshuffle(tensor, 2), reference.space_to_depth(x, 2, False)),
        (functional.channel_shuffle(tensor, 3), reference.channel_shuffle(x, 3)),
        (functional.log_softmax(tensor, 1), reference.log_softmax(x)),
    ]
    for want, got in pairs:
        np.testing.assert_allclose(got, want.numpy().transpose(0, 2, 3, 1), atol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GroupNorm(3, 8), "3 groups do not divide 8 channels"),
        (lambda: LocalResponseNorm(0), "size must be at least 1"),
        (lambda: ChannelShuffle(5).output_shape(Shape(2, 2, 8)), "5 groups do not divide"),
        (lambda: DepthToSpace(3).output_shape(Shape(2, 2, 8)), "blocks of 3 do not divide"),
        (lambda: SpaceToDepth(2).output_shape(Shape(2, 3, 8)), "blocks of 2 do not divide"),
        (lambda: LayerNorm(4).output_shape(Shape(2, 3, 8)), "LayerNorm expects 4 channels"),
    ],
)
def test_nonsense(make, message):
    with pytest.raises(ValueError, match=message):
        make()
