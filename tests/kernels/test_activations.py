"""Every activation and every combination of two maps against their definitions, on every engine."""

from __future__ import annotations

import numpy as np
import pytest
from one_layer import draw, draw_weights, every_engine, every_gemm, every_isa, run_layer

import tolerance
from bench import reference
from engines import ISAS, run_program
from facegen.nn import (
    ELU,
    GELU,
    SELU,
    Abs,
    Add,
    Clip,
    Conv2d,
    Div,
    Exp,
    Graph,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    Log,
    Maximum,
    Minimum,
    Mish,
    Mul,
    PReLU,
    Reciprocal,
    ReLU,
    Shape,
    Sigmoid,
    Sign,
    SiLU,
    Softplus,
    Sqrt,
    Sub,
    Tanh,
    lower,
)

ANY = [
    ReLU(),
    LeakyReLU(0.2),
    Clip(0, 6),
    Clip(-0.5, 0.25),
    ELU(0.7),
    SELU(),
    Sigmoid(),
    HardSigmoid(),
    HardSigmoid(0.2, 0.4),
    HardSwish(),
    SiLU(),
    SiLU(1.702),
    Tanh(),
    GELU(),
    GELU(tanh=True),
    Mish(),
    Softplus(),
    Exp(),
    Abs(),
    Sign(),
]
POSITIVE = [Log(), Sqrt(), Reciprocal()]
# Of results, or of x where the result is x times something: what csrc/cpu/isa/activate.h states.
UNITS = 5


def bound(x: np.ndarray, want: np.ndarray) -> np.ndarray:
    return tolerance.roundings(UNITS, np.maximum(np.abs(x), np.abs(want)) + 1e-6)


every_activation = pytest.mark.parametrize("layer", ANY, ids=str)


@every_engine
@every_activation
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 5, 7), (1, 2, 3, 33), (2, 2, 3, 16)])
def test_activations(layer, shape, isa, threads):
    x = draw(shape) * np.float32(3)
    want = reference.activation(layer, x)
    tolerance.assert_within(run_layer(layer, x, isa=isa, threads=threads), want, bound(x, want))


@every_isa
@every_activation
def test_activations_of_all_magnitudes(layer, isa):
    magnitudes = np.geomspace(1e-30, 80, 4001, dtype=np.float32)
    x = np.concatenate([-magnitudes, [0], magnitudes]).astype(np.float32).reshape(1, 1, -1, 1)
    want = reference.activation(layer, x)
    tolerance.assert_within(run_layer(layer, x, isa=isa), want, bound(x, want))


@every_isa
@pytest.mark.parametrize("layer", POSITIVE, ids=str)
def test_activations_of_positive_numbers(layer, isa):
    x = np.geomspace(1e-30, 1e30, 4001, dtype=np.float32).reshape(1, 1, -1, 1)
    want = reference.activation(layer, x)
    got = run_layer(layer, x, isa=isa)
    tolerance.assert_within(got, want, tolerance.roundings(UNITS, np.abs(want)))


@every_isa
@pytest.mark.parametrize("layer", [ELU(), Softplus(), GELU(), SiLU()], ids=str)
def test_small_results_are_exact_too(layer, isa):
    """Near 0, or where an exponential goes to 0, the error is relative to the result."""
    x = np.float32([-30, -10, -1e-3, -1e-6, -1e-20, 1e-20, 1e-6])
    if not isinstance(layer, Softplus):
        x = x[np.abs(x) < 1]
    x = x.reshape(1, 1, -1, 1)
    want = reference.activation(layer, x)
    got = run_layer(layer, x, isa=isa)
    tolerance.assert_within(got, want, tolerance.roundings(UNITS, np.abs(want)))


@every_isa
@pytest.mark.parametrize("layer", [*ANY, *POSITIVE], ids=str)
@pytest.mark.parametrize("channels", [19, 24])
def test_nan_stays_nan(layer, channels, isa):
    x = np.full((1, 1, 1, channels), np.nan, np.float32)
    assert np.isnan(run_layer(layer, x, isa=isa)).all()


INF = np.inf


@every_isa
@pytest.mark.parametrize(
    ("layer", "want"),
    [
        (Clip(-1, 2), [-1, 2]),
        (ELU(0.5), [-0.5, INF]),
        (Sigmoid(), [0, 1]),
        (HardSigmoid(), [0, 1]),
        (Softplus(), [0, INF]),
        (Exp(), [0, INF]),
        (Abs(), [INF, INF]),
        (Reciprocal(), [0, 0]),
        (Sign(), [-1, 1]),
    ],
    ids=str,
)
def test_activations_of_infinity(layer, want, isa):
    x = np.float32([-INF, INF]).reshape(1, 1, 1, 2)
    got = run_layer(layer, x, isa=isa).ravel()
    np.testing.assert_allclose(got, want, atol=1e-30)


@every_isa
def test_logarithm_and_root_at_the_end_of_their_ranges(isa):
    x = np.float32([0, -1, INF, 1e-40]).reshape(1, 1, 1, 4)
    got = run_layer(Log(), x, isa=isa).ravel()
    assert got[0] == -INF and np.isnan(got[1]) and got[2] == INF
    assert abs(got[3] - np.log(np.float64(x.flat[3]))) < 1e-5 or "cuda" in isa
    got = run_layer(Sqrt(), x, isa=isa).ravel()
    assert got[0] == 0 and np.isnan(got[1]) and got[2] == INF


@every_engine
@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 2, 3, 33), (1, 4, 4, 1)])
def test_prelu(shape, isa, threads):
    x, layer = draw(shape), PReLU(shape[3])
    weights = draw_weights(layer)
    got = run_layer(layer, x, weights=weights, isa=isa, threads=threads)
    want = reference.prelu(x, weights["slope"])
    tolerance.assert_within(got, want, tolerance.roundings(1, np.abs(want)))


COMBINATIONS = [Add(), Sub(), Mul(), Div(), Maximum(), Minimum()]
SHAPES = [
    ((2, 3, 5, 7), (2, 3, 5, 7)),
    ((2, 3, 5, 33), (2, 1, 1, 33)),  # squeeze-and-excite
    ((2, 3, 5, 33), (2, 3, 5, 1)),  # an attention gate
    ((2, 3, 5, 17), (2, 1, 1, 1)),
    ((2, 3, 5, 16), (2, 3, 5, 16)),  # eight channels at a time on GPUs
    ((2, 3, 5, 24), (2, 1, 1, 24)),
    ((2, 3, 5, 8), (2, 3, 5, 1)),
    ((1, 1, 1, 5), (1, 1, 1, 1)),
]


@every_engine
@pytest.mark.parametrize("layer", COMBINATIONS, ids=str)
@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("shapes", SHAPES, ids=str)
def test_combinations(layer, swap, shapes, isa, threads):
    maps = [draw(shape, seed) for seed, shape in enumerate(shapes)]
    maps = [np.where(np.abs(x) < 0.1, np.float32(0.5), x) for x in maps]  # that Div divides by
    a, b = maps[::-1] if swap else maps
    want = reference.combine(layer, a, b)
    got = run_layer(layer, a, b, isa=isa, threads=threads)
    magnitude = np.abs(want) + (np.abs(a) + np.abs(b) if isinstance(layer, Add | Sub) else 0)
    tolerance.assert_within(got, want, tolerance.roundings(2, magnitude))


@every_isa
@pytest.mark.parametrize("layer", [Maximum(), Minimum(), Add(), Mul()], ids=str)
def test_a_nan_of_either_map_wins(layer, isa):
    nan = np.float32([np.nan, 1, np.nan, 1, 2]).reshape(1, 1, 1, 5)
    other = np.float32([1, np.nan, np.nan, 2, 1]).reshape(1, 1, 1, 5)
    got = run_layer(layer, nan, other, isa=isa).ravel()
    assert np.isnan(got).tolist() == [True, True, True, False, False]


# Sizes that get the CPU's thin, direct, Winograd and indirect products.
CONVOLUTIONS = [
    (Conv2d(8, 3, 3, padding=1), 20),
    (Conv2d(24, 40, 1), 12),
    (Conv2d(32, 48, 3, padding=1), 12),
    (Conv2d(6, 20, 5, stride=2, padding=2), 12),
]
# Not exp and sign, which multiply errors without bound.
BEHIND = [
    *((layer, None, False) for layer in [*ANY, PReLU(0)] if layer not in (Exp(), Sign())),
    *(
        (activation, combination, last)
        for activation in [ReLU(), SiLU(), PReLU(0)]
        for combination in [Add(), Mul(), Maximum()]
        for last in [False, True]
    ),
]


@every_gemm
@pytest.mark.parametrize("convolution", CONVOLUTIONS, ids=str)
@pytest.mark.parametrize(("activation", "combination", "last"), BEHIND, ids=str)
def test_behind_a_convolution(convolution, activation, combination, last, isa):
    layer, side = convolution
    if isinstance(activation, PReLU):
        activation = PReLU(layer.out_channels)
    graph = Graph("convolution")
    y = image = graph.input("x", Shape(side, side, layer.in_channels))
    y = graph.add("conv", layer, y)
    steps = [("activation", activation)]
    inputs = [draw((2, *image.shape)) * np.float32(0.5)]
    if combination is not None:
        other = graph.input("other", y.shape)
        inputs.append(draw((2, *y.shape), 5))
        steps.insert(int(last), ("combination", combination))
    for name, each in steps:
        y = graph.add(name, each, *([y, other] if name == "combination" else [y]))
    graph.output(y)
    weights = {f"conv.{n}": v for n, v in draw_weights(layer).items()}
    scale = np.float32(0.5 / np.sqrt(np.prod(layer.weight_shape[1:])))
    weights["conv.weight"] *= scale
    weights |= {f"activation.{n}": v for n, v in draw_weights(activation).items()}
    program = lower(graph, weights)
    assert len(program.steps) == 1
    got = np.full((2, *y.shape), np.nan, np.float32)
    run_program(program, inputs, [got], isa)
    (want,) = reference.run_graph(graph, weights, *inputs)
    # Activations here have slopes of up to 1.8, and factors are below 5.
    absolute = np.abs(inputs[0]), np.abs(weights["conv.weight"])
    magnitude = reference.conv2d(*absolute, padding=layer.padding, stride=layer.stride).max()
    length = int(np.prod(layer.weight_shape[1:]))
    error = 9 * np.max(tolerance.winograd(np.full((1, 1, 1, 1), magnitude), length))
    error += 9 * np.max(tolerance.gemm(magnitude, length, isa))
    tolerance.assert_within(got, want, error + tolerance.roundings(20, 1.0))


def test_a_combination_that_does_not_fit():
    for a, b in [((2, 2, 3), (2, 1, 3)), ((2, 2, 3), (2, 2, 2)), ((1, 1, 3), (2, 2, 1))]:
        with pytest.raises(ValueError, match="Mul expects two maps of one shape"):
            Mul().output_shape(Shape(*a), Shape(*b))


@pytest.mark.parametrize("isa", ISAS)
def test_the_same_bits_at_any_place_in_a_row(isa):
    x = draw((1, 1, 1, 50))
    for layer in ANY:
        whole = run_layer(layer, x, isa=isa)
        for first in (1, 7, 15):
            part = np.ascontiguousarray(x[..., first:])
            np.testing.assert_array_equal(run_layer(layer, part, isa=isa), whole[..., first:])
