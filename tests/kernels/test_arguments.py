"""facegen.kernels as its users call it: examples, arguments, and the messages for wrong ones."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

import tolerance
from bench import reference
from facegen import kernels


def draw(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


X, W, V = draw(2, 6, 5, 3), draw(8, 3, 3, 3), draw(3)


@pytest.mark.parametrize("name", kernels.__all__)
def test_examples(name):
    names = {"np": np, **vars(kernels)}
    (found,) = doctest.DocTestFinder().find(getattr(kernels, name), name, globs=names)
    assert found.examples and doctest.DocTestRunner().run(found).failed == 0


def test_conv2d_takes_all_its_options():
    options = {"stride": (2, 1), "padding": ((1, 0), (2, 1)), "dilation": 2}
    bias = draw(8)
    got = kernels.conv2d(X, W, bias, algorithm="direct", threads=1, device="cpu", **options)
    want = reference.conv2d(X, W, bias, **options)
    magnitude = reference.conv2d(np.abs(X), np.abs(W), np.abs(bias), **options)
    assert got.dtype == np.float32
    tolerance.assert_within(got, want, tolerance.gemm(magnitude, 27))


def test_conv_transpose2d_takes_all_its_options():
    options = {"stride": 2, "padding": ((1, 0), (2, 1)), "output_padding": (1, 0)}
    bias = draw(8)
    got = kernels.conv_transpose2d(X, W, bias, algorithm="auto", threads=2, **options)
    want = reference.conv_transpose2d(X, W, bias, **options)
    magnitude = reference.conv_transpose2d(np.abs(X), np.abs(W), np.abs(bias), **options)
    tolerance.assert_within(got, want, tolerance.gemm(magnitude, 27))


CALLS = {
    "conv2d": lambda x: kernels.conv2d(x, W),
    "conv_transpose2d": lambda x: kernels.conv_transpose2d(x, W, stride=2),
    "batch_norm": lambda x: kernels.batch_norm(x, V, V, V, V**2),
    "instance_norm": lambda x: kernels.instance_norm(x, V, V),
    "max_pool2d": lambda x: kernels.max_pool2d(x, 2, ceil_mode=True),
    "softmax": kernels.softmax,
    "global_avg_pool2d": kernels.global_avg_pool2d,
    "argmax": kernels.argmax,
    "upsample_bilinear2d": lambda x: kernels.upsample_bilinear2d(x, scale=2),
    "relu": kernels.relu,
    "leaky_relu": lambda x: kernels.leaky_relu(x, 0.2),
    "tanh": kernels.tanh,
}
every_call = pytest.mark.parametrize("name", CALLS)


@every_call
def test_an_empty_batch_gives_an_empty_result(name):
    whole = CALLS[name](X)
    empty = CALLS[name](X[:0])
    assert empty.shape == (0, *whole.shape[1:]) and empty.dtype == np.float32


@every_call
def test_the_layout_in_memory_does_not_matter(name):
    turned = np.asfortranarray(X)
    np.testing.assert_array_equal(CALLS[name](turned), CALLS[name](X))


@every_call
def test_the_input_is_left_alone(name):
    x = X.copy()
    x.flags.writeable = False
    CALLS[name](x)
    np.testing.assert_array_equal(x, X)


@every_call
@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (X.astype(np.float64), TypeError, "x must be float32, not float64"),
        (X.tolist(), TypeError, "x must be a NumPy array, not list"),
        (X[0], ValueError, r"x must be \(n, h, w, c\) .*, not \(6, 5, 3\)"),
        (X[:, :0], ValueError, r"h, w, c at least 1, not \(2, 0, 5, 3\)"),
    ],
)
def test_wrong_maps(name, x, error, message):
    with pytest.raises(error, match=message):
        CALLS[name](x)


@pytest.mark.parametrize("op", [kernels.conv2d, kernels.conv_transpose2d])
@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (
            (draw(8, 3, 3, 4),),
            {},
            ValueError,
            r"weight must be \(out, kh, kw, in\) with in = 3, not \(8, 3, 3, 4\)",
        ),
        ((draw(8, 27),), {}, ValueError, r"with in = 3, not \(8, 27\)"),
        ((draw(0, 3, 3, 3),), {}, ValueError, r"with in = 3, not \(0, 3, 3, 3\)"),
        ((W.astype(np.float16),), {}, TypeError, "weight must be float32, not float16"),
        ((W, draw(7)), {}, ValueError, r"bias must be \(out,\) with out = 8, not \(7,\)"),
        ((W, np.zeros(8)), {}, TypeError, "bias must be float32, not float64"),
        ((W,), {"stride": 0}, ValueError, "stride must be at least 1, not 0"),
        ((W,), {"padding": (1, 2, 3)}, ValueError, "padding must be an int or a pair"),
        ((W,), {"algorithm": "fastest"}, ValueError, 'algorithm must be one of "auto", '),
    ],
)
def test_wrong_arguments_of_convolutions(op, arguments, options, error, message):
    with pytest.raises(error, match=message):
        op(X, *arguments, **options)


def test_a_window_that_does_not_fit():
    with pytest.raises(ValueError, match="does not fit into its input 6x5x3"):
        kernels.conv2d(X, W, dilation=3)
    with pytest.raises(ValueError, match="does not fit into its input 6x5x3"):
        kernels.max_pool2d(X, 7)


def test_linear():
    x, weight, bias = draw(5, 7), draw(3, 7), draw(3)
    got = kernels.linear(x, weight, bias)
    magnitude = np.abs(x) @ np.abs(weight).T + np.abs(bias)
    tolerance.assert_within(got, reference.linear(x, weight, bias), tolerance.gemm(magnitude, 7))
    assert kernels.linear(x[:0], weight).shape == (0, 3)
    with pytest.raises(ValueError, match=r"x must be \(n, in\), not \(7,\)"):
        kernels.linear(x[0], weight)
    with pytest.raises(ValueError, match=r"weight must be \(out, in\) with in = 7, not \(7, 3\)"):
        kernels.linear(x, weight.T)


HUGE = pytest.param(10**400, id="huge")


@pytest.mark.parametrize("eps", [-1e-5, float("nan"), float("inf"), 1e39, HUGE])
def test_eps_that_is_none(eps):
    with pytest.raises(ValueError, match="eps must be from 0 to"):
        kernels.batch_norm(X, V, V, V, V, eps=eps)
    with pytest.raises(ValueError, match="eps must be from 0 to"):
        kernels.instance_norm(X, V, V, eps=eps)


def test_wrong_parameters_of_norms():
    with pytest.raises(ValueError, match=r"var must be \(c,\) with c = 3, not \(4,\)"):
        kernels.batch_norm(X, V, V, V, draw(4))
    with pytest.raises(TypeError, match="beta must be float32, not float64"):
        kernels.instance_norm(X, V, V.astype(np.float64))


MOST = 2**29


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dilation": (1, 2**31 - 1), "padding": ((0, 0), (0, 2**32 - 2))}, "padding must be at"),
        ({"dilation": (1, 2**31 - 1)}, f"dilation must be at most {MOST}, not"),
        ({"dilation": MOST}, "reaches over 1073741825 pixels"),
        ({"stride": 2**31}, f"stride must be at most {MOST}, not 2147483648"),
        ({"stride": 2**64}, "stride must be at most"),
        ({"padding": MOST}, "6 pixels with padding are 1073741830, more than"),
    ],
)
def test_absurd_windows_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        kernels.conv2d(X, W, **options)


def test_absurd_windows_of_other_ops_are_refused():
    with pytest.raises(ValueError, match="stride must be at most"):
        kernels.max_pool2d(X, 2, stride=2**31)
    with pytest.raises(ValueError, match="kernel must be at most"):
        kernels.max_pool2d(X, 2**31)
    with pytest.raises(ValueError, match="height and width must be at most 536870912"):
        kernels.upsample_bilinear2d(X, scale=2**28)
    with pytest.raises(ValueError, match="stride .300, 300. has 90000 phases"):
        kernels.conv_transpose2d(X, W, stride=300)


@pytest.mark.parametrize("channels", [1, 3, 8, 16])
@pytest.mark.parametrize("out", [1, 8, 16])
@pytest.mark.parametrize(
    "far",
    [
        {"dilation": (1, 2**28 - 7), "padding": ((0, 0), (0, 2**29 - 14)), "stride": (1, 2**25)},
        {"dilation": (2**26, 1), "padding": ((2**27, 3), (1, 1)), "stride": (2**24 + 1, 1)},
        {"stride": 2**28, "padding": ((0, 2**28), (2**28, 0))},
    ],
)
def test_windows_that_reach_far_find_what_the_definition_finds(far, channels, out):
    x, weight = draw(2, 6, 12, channels), draw(out, 3, 3, channels)
    want, magnitude = gathered(x, weight, **far), gathered(np.abs(x), np.abs(weight), **far)
    length = 9 * channels
    bound = np.maximum(tolerance.gemm(magnitude, length), tolerance.winograd(magnitude, length))
    tolerance.assert_within(kernels.conv2d(x, weight, **far), want, bound)


def gathered(x, weight, *, stride, padding, dilation=1):
    """The definition, without a map that holds the padding."""
    strides, dilations = reference.both(stride), reference.both(dilation)
    pads = reference.sides(padding)
    sizes = [
        (x.shape[1 + i] + sum(pads[i]) - (weight.shape[1 + i] - 1) * dilations[i] - 1)
        // strides[i] + 1
        for i in range(2)
    ]  # fmt: skip
    y = np.zeros((len(x), *sizes, len(weight)))
    for r, s in np.ndindex(weight.shape[1:3]):
        iy = np.arange(sizes[0]) * strides[0] + r * dilations[0] - pads[0][0]
        ix = np.arange(sizes[1]) * strides[1] + s * dilations[1] - pads[1][0]
        oy = np.flatnonzero((iy >= 0) & (iy < x.shape[1]))
        ox = np.flatnonzero((ix >= 0) & (ix < x.shape[2]))
        taken = x[:, iy[oy][:, None], ix[ox]].astype(np.float64)
        y[:, oy[:, None], ox] += taken @ weight[:, r, s].astype(np.float64).T
    return y


def test_a_window_that_is_larger_than_the_map():
    got = kernels.max_pool2d(X, 2**20, stride=2**19, padding=2**19)
    want = X.max(axis=(1, 2), keepdims=True)
    np.testing.assert_array_equal(got, np.broadcast_to(want, got.shape))
