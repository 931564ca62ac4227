"""Output shapes, parameters and FLOPs of layers, and what they refuse."""

from __future__ import annotations

import pytest

from facegen.nn import (
    Add,
    Affine,
    ArgMax,
    AvgPool2d,
    BatchNorm,
    Concat,
    Conv2d,
    ConvTranspose2d,
    GlobalAvgPool2d,
    Linear,
    MaxPool2d,
    Pad2d,
    ReLU,
    Reshape,
    Shape,
    Slice,
    Upsample,
)


@pytest.mark.parametrize(
    ("layer", "inputs", "output"),
    [
        (Conv2d(3, 96, 7, stride=2), [Shape(227, 227, 3)], (111, 111, 96)),
        (Conv2d(4, 5, (3, 1), (2, 3), ((0, 1), (2, 0)), (2, 1)), [Shape(8, 7, 4)], (3, 3, 5)),
        (ConvTranspose2d(512, 256, 5, 2, ((1, 2), (1, 2))), [Shape(4, 4, 512)], (8, 8, 256)),
        (ConvTranspose2d(512, 256, 4, 2, 1), [Shape(32, 32, 512)], (64, 64, 256)),
        (ConvTranspose2d(21, 21, 11, 4), [Shape(55, 55, 21)], (227, 227, 21)),
        (ConvTranspose2d(1, 1, 3, 2, 1, (1, 0)), [Shape(4, 4, 1)], (8, 7, 1)),
        (Linear(100, 8192), [Shape(1, 1, 100)], (1, 1, 8192)),
        (Concat(), [Shape(2, 3, 4), Shape(2, 3, 5), Shape(2, 3, 1)], (2, 3, 10)),
        (Add(), [Shape(2, 3, 4), Shape(2, 3, 4)], (2, 3, 4)),
        (Upsample(scale=4), [Shape(64, 64, 2)], (256, 256, 2)),
        (Upsample((5, 7)), [Shape(64, 64, 2)], (5, 7, 2)),
        (Reshape(Shape(4, 4, 512)), [Shape(1, 1, 8192)], (4, 4, 512)),
        (ReLU(), [Shape(2, 3, 4)], (2, 3, 4)),
        (ArgMax(), [Shape(2, 3, 4)], (2, 3, 1)),
        (GlobalAvgPool2d(), [Shape(2, 3, 4)], (1, 1, 4)),
    ],
    ids=str,
)
def test_output_shape(layer, inputs, output):
    assert layer.output_shape(*inputs) == output


@pytest.mark.parametrize(
    ("size", "options", "output"),
    [
        # SqueezeNet's sizes
        (111, {"kernel": 3, "stride": 2, "ceil_mode": True}, 55),
        (55, {"kernel": 3, "stride": 2, "ceil_mode": True}, 27),
        # A partial window: dropped, or kept
        (6, {"kernel": 3, "stride": 2}, 2),
        (6, {"kernel": 3, "stride": 2, "ceil_mode": True}, 3),
        # The last window would start behind the input, in the right padding: PyTorch drops it
        (4, {"kernel": 2, "stride": 2, "padding": 1, "ceil_mode": True}, 3),
        (5, {"kernel": 2, "stride": 3, "padding": 1, "ceil_mode": True}, 2),
        (3, {"kernel": 1, "stride": 4, "ceil_mode": True}, 1),
        # The stride is the kernel by default
        (6, {"kernel": 3}, 2),
    ],
)
def test_max_pool_size(size, options, output):
    assert MaxPool2d(**options).output_shape(Shape(size, size, 7)) == (output, output, 7)


def test_parameters_are_in_the_canonical_layouts():
    assert Conv2d(3, 8, (5, 4)).parameters() == {"weight": (8, 5, 4, 3), "bias": (8,)}
    assert ConvTranspose2d(3, 8, 5, bias=False).parameters() == {"weight": (8, 5, 5, 3)}
    assert Linear(3, 8).parameters() == {"weight": (8, 3), "bias": (8,)}
    assert list(BatchNorm(3).parameters()) == ["gamma", "beta", "mean", "var"]


def test_flops_leave_out_zeros():
    # 3 wide, padding 1: of 9 taps 4 are inside in the corners, 6 at the edges, 9 in the middle.
    inside = 4 * 4 + 4 * 6 + 9
    assert Conv2d(5, 7, 3, padding=1).flops(Shape(3, 3, 5)) == 2 * inside * 5 * 7
    # Without padding, every one of the 2 x 2 inputs meets every tap.
    assert ConvTranspose2d(5, 7, 3, stride=2).flops(Shape(2, 2, 5)) == 2 * 4 * 9 * 5 * 7
    assert Linear(100, 8192).flops(Shape(1, 1, 100)) == 2 * 100 * 8192


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Conv2d(0, 1, 3), "in_channels of Conv2d must be at least 1, not 0"),
        (lambda: Conv2d(1, 1, 0), "kernel must be at least 1, not 0"),
        (lambda: Conv2d(1, 1, (3, 3, 3)), r"kernel must be an int or a pair of ints, not \(3, 3"),
        (lambda: Conv2d(1, 1, 2.5), "kernel must be an int or a pair of ints, not 2.5"),
        (lambda: Conv2d(1, 1, 3, stride=0), "stride must be at least 1, not 0"),
        (lambda: Conv2d(1, 1, 3, padding=-1), "padding must be at least 0, not -1"),
        (lambda: Conv2d(1, 1, 3, padding=((1, 1),)), "padding must be an int or a pair"),
        (lambda: Conv2d(1, 1, 3, padding=(1, (1, 2, 3))), "padding must be an int or a pair"),
        (lambda: Conv2d(1, 1, 3, padding="same"), "padding must be an int or a pair"),
        (lambda: ConvTranspose2d(1, 1, 3, output_padding=-1), "output_padding must be at least 0"),
        (lambda: MaxPool2d(2, padding=2), "padding .* must be smaller than its kernel"),
        (lambda: Upsample(), "either size or scale"),
        (lambda: Upsample(3, 3), "either size or scale"),
        (lambda: Affine(float("nan")), "must be finite"),
    ],
)
def test_impossible_layers(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "inputs", "message"),
    [
        (Conv2d(3, 8, 3), [Shape(5, 5, 4)], "Conv2d expects 3 channels, its input is 5x5x4"),
        (Conv2d(3, 8, 3), [Shape(2, 5, 3)], "does not fit into its input 2x5x3"),
        (Conv2d(3, 8, 3), [Shape(5, 5, 3)] * 2, r"Conv2d takes 1 input\(s\), not 2"),
        (ConvTranspose2d(3, 8, 3, padding=2), [Shape(2, 2, 3)], "leaves nothing of its input"),
        (MaxPool2d(3), [Shape(2, 5, 3)], "does not fit into its input 2x5x3"),
        (BatchNorm(3), [Shape(2, 5, 4)], "BatchNorm expects 3 channels"),
        (Concat(), [], "at least 1 input"),
        (Concat(), [Shape(2, 2, 3), Shape(2, 3, 3)], "one height and width, not 2x2x3, 2x3x3"),
        (Add(), [Shape(2, 2, 3), Shape(2, 2, 4)], "or channel, not 2x2x3 and 2x2x4"),
        (Add(), [Shape(2, 2, 3)], r"Add takes 2 input\(s\), not 1"),
        (AvgPool2d((10000, 1), 1), [Shape(20000, 1, 1)], "10,001 times up to 10,000 rows"),
        (Upsample(size=(2**29, 1)), [Shape(1, 1, 1)], "more than 4,194,304 in all"),
        (Upsample(size=2**20 + 1, mode="cubic"), [Shape(1, 1, 1)], "1,048,577 times up to 4 rows"),
        (Pad2d((0, 2**22)), [Shape(1, 1, 1)], "of an input 1x1x1 sums 8,388,609 times"),
        (Slice(columns=(0, 2**23, 1)), [Shape(1, 2**23, 1)], "8,388,608 times up to 1 rows"),
        (Reshape(Shape(2, 2, 2)), [Shape(3, 3, 1)], "cannot reshape 3x3x1 into 2x2x2"),
        (Reshape(Shape(-1, -1, 9)), [Shape(3, 3, 1)], "cannot reshape 3x3x1 into -1x-1x9"),
    ],
)
def test_unsuitable_inputs(layer, inputs, message):
    with pytest.raises(ValueError, match=message):
        layer.output_shape(*inputs)
