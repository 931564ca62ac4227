"""argmax and global_avg_pool2d on every engine, also inside a concatenation."""

from __future__ import annotations

import numpy as np
import pytest
from one_layer import draw, run_layer

import tolerance
from bench import reference
from engines import ENGINES, ISAS, run_program
from facegen.nn import (
    Add,
    ArgMax,
    Concat,
    GlobalAvgPool2d,
    Graph,
    ReLU,
    Shape,
    lower,
)

every_engine = pytest.mark.parametrize("engine", ENGINES)
every_shape = pytest.mark.parametrize(
    "shape",
    [(1, 1, 1, 1), (3, 1, 1, 40), (2, 5, 7, 21), (1, 40, 13, 33), (2, 15, 15, 100)],
    ids=str,
)


@every_engine
@every_shape
def test_argmax(engine: str, shape: tuple[int, ...]) -> None:
    x = draw(shape)
    got = run_layer(ArgMax(), x, isa=engine, threads=2)
    np.testing.assert_array_equal(got, reference.argmax(x))


@every_engine
def test_argmax_of_equal_channels_is_the_lowest(engine: str) -> None:
    x = np.round(draw((2, 9, 31, 21)))  # few values: most pixels have several largest channels
    x[0, 0] = -np.inf
    x[0, 1] = np.inf
    x[0, 2, :, 3:] = 0.0
    x[0, 2, :, :3] = -0.0  # equal to 0
    got = run_layer(ArgMax(), x, isa=engine)
    np.testing.assert_array_equal(got, reference.argmax(x))
    assert not got[0, :3].any()


@every_engine
def test_argmax_takes_the_first_nan(engine: str) -> None:
    x = draw((1, 1, 5, 21))
    x[0, 0, 0, 20] = x[0, 0, 1, 0] = np.nan
    x[0, 0, 2, [7, 9]] = np.nan
    x[0, 0, 3, 3], x[0, 0, 3, 4] = np.inf, np.nan
    x[0, 0, 4] = np.nan
    got = run_layer(ArgMax(), x, isa=engine)
    assert got.ravel().tolist() == [20, 0, 7, 4, 0] == reference.argmax(x).ravel().tolist()


@every_engine
@every_shape
def test_global_avg_pool2d(engine: str, shape: tuple[int, ...]) -> None:
    x = draw(shape) + np.float32(1000)  # a float32 sum would lose digits
    got = run_layer(GlobalAvgPool2d(), x, isa=engine, threads=2)
    want = reference.global_avg_pool2d(x)
    tolerance.assert_within(got, want, tolerance.roundings(1, np.abs(want)))


@every_engine
def test_nan_stays_in_its_channel_and_image(engine: str) -> None:
    x = draw((2, 3, 3, 40))
    x[1, 2, 2, 33] = np.nan
    got = run_layer(GlobalAvgPool2d(), x, isa=engine)
    assert np.argwhere(np.isnan(got)).tolist() == [[1, 0, 0, 33]]


@every_engine
@pytest.mark.parametrize("layer", [ArgMax(), GlobalAvgPool2d()], ids=str)
def test_neither_batch_nor_threads_change_a_bit(engine: str, layer: ArgMax) -> None:
    x = draw((5, 17, 13, 37))
    batch = run_layer(layer, x, isa=engine, threads=2)
    for threads in (1, 3):
        single = [run_layer(layer, x[i : i + 1], isa=engine, threads=threads) for i in range(5)]
        assert np.concatenate(single).tobytes() == batch.tobytes()


@pytest.mark.parametrize("engine", [ISAS[0], *ENGINES[len(ISAS) :]])
def test_views_with_gaps_between_pixels(engine: str) -> None:
    """Both read a part of a concatenation and write into another one."""
    graph = Graph("gaps")
    a, b = graph.input("a", Shape(6, 5, 3)), graph.input("b", Shape(6, 5, 4))
    left, right = graph.add("ra", ReLU(), a), graph.add("rb", ReLU(), b)
    joined = graph.add("joined", Concat(), left, right)
    best = graph.add("best", ArgMax(), right)
    mean = graph.add("mean", GlobalAvgPool2d(), right)
    graph.output(graph.add("maps", Concat(), best, left, graph.add("again", ArgMax(), joined)))
    graph.output(graph.add("pixels", Concat(), mean, graph.add("all", GlobalAvgPool2d(), joined)))
    graph.output(graph.add("sum", Add(), mean, mean))
    inputs = [draw((2, 6, 5, 3)), draw((2, 6, 5, 4), 1)]
    outputs = [np.full((2, *tensor.shape), np.nan, np.float32) for tensor in graph.outputs]
    run_program(lower(graph, {}), inputs, outputs, engine, 2)
    for got, want in zip(outputs, reference.run_graph(graph, {}, *inputs), strict=True):
        tolerance.assert_within(got, want, tolerance.roundings(2, np.abs(want)))
