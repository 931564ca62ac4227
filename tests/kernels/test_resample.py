"""Interpolation, means over windows, borders and slices against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from one_layer import draw, every_engine, run_layer

import tolerance
from bench import reference
from facegen.nn import AvgPool2d, Pad2d, Shape, Slice, Upsample

LAYERS = [
    *(
        Upsample(**size, mode=mode, coordinates=coordinates)
        for mode in ("linear", "nearest", "cubic")
        for coordinates in (None, "align_corners", "asymmetric", "pytorch_half_pixel")
        for size in ({"scale": 2}, {"size": (5, 11)}, {"size": 1})
    ),
    Upsample(scale=(1.5, 0.7)),
    Upsample(scale=3, mode="nearest"),
    *(
        Upsample(size=(5, 9), mode="nearest", coordinates="half_pixel", rounding=rounding)
        for rounding in ("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
    ),
    AvgPool2d(2),
    AvgPool2d(3, stride=2, padding=1),
    AvgPool2d(3, stride=2, padding=1, count_include_pad=False),
    AvgPool2d(3, stride=2, padding=1, ceil_mode=True),
    AvgPool2d(3, stride=2, padding=((0, 1), (2, 0)), ceil_mode=True, count_include_pad=False),
    AvgPool2d((1, 5), stride=1, padding=(0, 2)),
    Pad2d(((1, 2), (3, 0))),
    Pad2d(((1, 2), (3, 0)), "edge"),
    Pad2d(((1, 2), (3, 0)), "reflect"),
    Slice((1, 5, 1), (0, 4, 1)),
    Slice((0, 3, 2), (5, 6, -1)),
    Slice((2, 3, 1)),
    Slice(None, (5, 1, -3)),
]


@every_engine
@pytest.mark.parametrize("layer", LAYERS, ids=str)
@pytest.mark.parametrize("shape", [(2, 7, 6, 3), (1, 8, 9, 24), (1, 6, 7, 33)])
def test_resampling(layer, shape, isa, threads):
    x = draw(shape)
    got = run_layer(layer, x, isa=isa, threads=threads)
    want = reference.run_layer(layer, [x], {}, "")
    # Weights of a cubic add up to 2 on an axis, those of the others to 1.
    tolerance.assert_within(got, want, tolerance.roundings(24, float(np.abs(x).max())))
    if isinstance(layer, Pad2d | Slice) or getattr(layer, "mode", "") == "nearest":
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("mode", "align_corners"),
    [
        ("bilinear", False),
        ("bilinear", True),
        ("bicubic", False),
        ("bicubic", True),
        ("nearest", False),  # which has no corners
    ],
)
@pytest.mark.parametrize("size", [(5, 11), (14, 4), (7, 6)])
def test_interpolation_is_pytorch_s(mode, align_corners, size):
    torch = pytest.importorskip("torch")
    x = draw((2, 7, 6, 5))
    names = {"bilinear": "linear", "bicubic": "cubic", "nearest": "nearest"}
    layer = Upsample(size, None, names[mode], "align_corners" if align_corners else None)
    got = run_layer(layer, x)
    tensor = torch.from_numpy(x.transpose(0, 3, 1, 2).astype(np.float64))
    corners = None if mode == "nearest" else align_corners
    want = torch.nn.functional.interpolate(tensor, size, mode=mode, align_corners=corners)
    np.testing.assert_allclose(got, want.numpy().transpose(0, 2, 3, 1), atol=3e-6)


@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize("shape", [(7, 6), (8, 9), (3, 4)])
def test_means_are_pytorch_s(include, ceil_mode, shape):
    torch = pytest.importorskip("torch")
    x = draw((2, *shape, 5))
    layer = AvgPool2d(3, 2, 1, ceil_mode, include)
    tensor = torch.from_numpy(x.transpose(0, 3, 1, 2).astype(np.float64))
    want = torch.nn.functional.avg_pool2d(tensor, 3, 2, 1, ceil_mode, include)
    np.testing.assert_allclose(run_layer(layer, x), want.numpy().transpose(0, 2, 3, 1), atol=2e-6)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Upsample(scale=0), "scale must be positive"),
        (lambda: Upsample(scale=float("nan")), "scale must be positive"),
        (lambda: Upsample(scale=(1, 2, 3)), "a number or a pair of numbers"),
        (lambda: Upsample(4, mode="lanczos"), "expected one of linear, nearest, cubic"),
        (lambda: Upsample(4, coordinates="corners"), "expected one of half_pixel"),
        (lambda: Upsample(scale=0.1).output_shape(Shape(4, 4, 1)), "height and width must be"),
        (lambda: AvgPool2d(2, padding=2), "must be smaller than its kernel"),
        (lambda: AvgPool2d(3).output_shape(Shape(2, 5, 1)), "does not fit into its input"),
        (lambda: Pad2d(1, "wrap"), "mode must be"),
        (lambda: Pad2d(4, "reflect").output_shape(Shape(4, 9, 1)), "reflects more than there is"),
        (lambda: Slice((2, 3, 1)).output_shape(Shape(4, 4, 1)), "reaches beyond its input"),
        (lambda: Slice((0, 2, 0)), "step of a Slice must not be 0"),
        (lambda: Slice((0, 0, 1)), "count above 0"),
    ],
)
def test_nonsense(make, message):
    with pytest.raises(ValueError, match=message):
        make()
