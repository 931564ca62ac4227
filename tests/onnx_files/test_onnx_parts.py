"""Layers that read a part of a tensor, as after a split, against onnx's own evaluator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx_graphs import Op, evaluate, make, op, run, save

import facegen
import tolerance
from bench import reference
from facegen import FormatError
from facegen.graphs import GraphNetwork
from facegen.nn import Graph, Mul, Shape, Slice
from facegen.onnx_files import choice, read, write
from facegen.onnx_files.operators import OPERATORS

RNG = np.random.default_rng(1)
CONSTANTS = {
    "first": np.array([0]),
    "two": np.array([2]),
    "five": np.array([5]),
    "last": np.array([1000]),
    "channels": np.array([1]),
    "rows": np.array([2]),
    "mixed": np.array([3, 0, 4]),
    "map": np.array([0, 2, 2, 3]),
    "third": RNG.uniform(-2, 2, 3).astype(np.float32),
    "w": RNG.uniform(-2, 2, (3, 4)).astype(np.float32),
    "wide": RNG.uniform(-2, 2, (60, 4)).astype(np.float32),
    "odd": RNG.uniform(-2, 2, (48, 4)).astype(np.float32),
    "kernel": RNG.uniform(-2, 2, (2, 2, 1, 2)).astype(np.float32),
    "zero": np.zeros(3, np.float32),
    "one": np.ones(3, np.float32),
}


class Case(NamedTuple):
    """Nodes that read parts of x: of a vector of six the halves a and b, unless they say else."""

    ops: Sequence[Op]
    shape: Sequence[int] = (6,)


ROWS = op("Slice", "x first five rows", "s")
CASES: Mapping[str, Case] = {
    "Softmax": Case([op("Softmax", "a", "y", axis=1)]),
    "Softmax of the last": Case([op("Softmax", "b", "y", axis=-1)]),
    "LogSoftmax": Case([op("LogSoftmax", "b", "y", axis=1)]),
    "Softmax of some": Case([op("Gather", "x mixed", "g", axis=1), op("Softmax", "g", "y")]),
    "Softmax after ReLU": Case([op("Relu", "b", "r"), op("Softmax", "r", "y")]),
    "Concat in another order": Case([op("Concat", "b a", "y", axis=1)]),
    "Concat with another": Case([op("Relu", "x", "r"), op("Concat", "b r a", "y", axis=1)]),
    "Concat, then Gemm": Case(
        [op("Relu", "a", "r"), op("Concat", "b r", "c", axis=1),
         op("Gather", "c mixed", "g", axis=1), op("Gemm", "g w", "y")]
    ),
    "Gemm": Case([op("Gemm", "b w", "y")]),
    "MatMul of the first": Case([op("MatMul", "a w", "y")]),
    "Gemm of some": Case([op("Gather", "x mixed", "g", axis=1), op("Gemm", "g w", "y")]),
    "Mul": Case([op("Mul", "b third", "y")]),
    "Add": Case([op("Add", "third a", "y")]),
    "PRelu": Case([op("PRelu", "b third", "y")]),
    "BatchNormalization": Case([op("BatchNormalization", "b third third zero one", "y")]),
    "Add of parts": Case([op("Add", "a b", "y")]),
    "Mul of a part and its softmax": Case([op("Softmax", "a", "s"), op("Mul", "a s", "y")]),
    "MaxPool of the first rows": Case(
        [ROWS, op("MaxPool", "s", "y", kernel_shape=[2, 2])], (4, 6, 5)
    ),
    "Gemm of channels": Case(
        [op("Slice", "x first two channels", "s"), op("Flatten", "s", "f"),
         op("Gemm", "f wide", "y")],
        (4, 6, 5),
    ),
    "Gemm of rows": Case(
        [ROWS, op("Flatten", "s", "f"), op("Gemm", "f wide", "y")], (4, 6, 3)
    ),
    "Softmax of rows": Case(
        [ROWS, op("Flatten", "s", "f"), op("Softmax", "f", "y")], (4, 6, 5)
    ),
    "Gemm of what is no box": Case(
        [op("Flatten", "x", "f"), op("Slice", "f two last channels", "s"),
         op("Gemm", "s odd", "y")],
        (5, 2, 5),
    ),
    "Conv of a vector's half": Case(
        [op("Tanh", "x", "t"), op("Slice", "t two last channels", "s"), op("Reshape", "s map", "m"),
         op("Conv", "m kernel", "y")],
        (14,),
    ),
}  # fmt: skip


def made(case: Case) -> Any:
    halves = case.shape == (6,)
    ops = [*([op("Split", "x", "a", axis=1)] if halves else []), *case.ops]
    used = {name for each in ops for name in each.inputs}
    constants = {name: each for name, each in CONSTANTS.items() if name in used}
    x = np.zeros((2, *case.shape), np.float32)
    rank = 0
    for rank in range(1, 6):  # that of its output, which the evaluator tells
        model = make(ops, {"x": ["n", *case.shape]}, {"y": rank}, constants)
        if halves:
            model.graph.node[0].output.append("b")
        if evaluate(model, x)[0].ndim == rank:
            break
    return model


@pytest.mark.parametrize("name", CASES)
def test_parts(tmp_path: Path, name: str) -> None:
    model = made(CASES[name])
    x = RNG.standard_normal((3, *CASES[name].shape)).astype(np.float32)
    (got,), (want,) = run(tmp_path, model, x), evaluate(model, x)
    (magnitudes,) = evaluate(model, x, magnitudes=True)
    bound = max(1.0, np.abs(want).max(), np.abs(magnitudes).max())
    tolerance.assert_within(got, want, tolerance.gemm(bound, 60))


@pytest.mark.parametrize("kind", ["Log", "Sqrt", "Reciprocal", "Pow", "Exp", "Div", "c / x"])
def test_what_is_left_out_becomes_no_nan(tmp_path: Path, kind: str) -> None:
    """Functions that are finite of the even channels alone, and then products with weights."""
    operands = {"Pow": "p c", "Div": "p p", "c / x": "c p"}.get(kind, "p")
    ops = [op("Slice", "x first last channels two", "p"),
           op("Div" if kind == "c / x" else kind, operands, "l"),
           op("Softmax", "l", "y", axis=1)]  # fmt: skip
    constants = {name: CONSTANTS[name] for name in ("first", "last", "channels", "two")}
    constants["c"] = np.array(-1, np.float32)
    model = make(ops, {"x": ["n", 6, 1, 1]}, {"y": 4}, constants)
    left_out = {"Log": -1, "Sqrt": -1, "Exp": 1000}.get(kind, 0)
    x = np.float32([[1, left_out, 2, left_out, 3, left_out]]).reshape(1, 6, 1, 1)
    (got,), (want,) = run(tmp_path, model, x), evaluate(model, x)
    tolerance.assert_within(got, want, tolerance.roundings(40, 1.0))


def test_a_choice_of_too_many_runs_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "MOST_RUNS", 1)
    path = save(tmp_path, made(CASES["Softmax of some"]))
    with pytest.raises(FormatError, match=r"it takes 3 of 6 channels in an order of more than 1 "):
        read(path)


@given(st.integers(1, 40), st.data())
def test_choices_are_of_what_was_chosen(total: int, data: st.DataObject) -> None:
    """Of any numbers in any order, of even steps forwards and back, and of shuffles."""
    number = st.integers(0, total - 1)
    step = data.draw(st.sampled_from([1, 2, 3, 5, -1, -2]))
    first = data.draw(number)
    even = np.arange(first, total if step > 0 else -1, step)
    groups = data.draw(st.sampled_from([g for g in range(1, total + 1) if total % g == 0]))
    shuffled = np.arange(total).reshape(groups, -1).T.ravel()
    any_ = np.array(data.draw(st.lists(number, min_size=1, max_size=20)))
    chosen = data.draw(st.sampled_from([even, shuffled, any_, np.concatenate([any_, even])]))
    x = np.arange(total, dtype=np.float64).reshape(1, 1, 1, total)
    parts = []
    for layers in choice.layers_of_choice(chosen, total):
        part = x
        for layer in layers:
            part = reference.run_layer(layer, [part], {}, "")
        parts.append(part)
    np.testing.assert_array_equal(np.concatenate(parts, -1).ravel(), chosen)
    if chosen is even and len(even) > 4 and step > 1:
        assert len(parts) <= 2  # the last may have no whole block
    if chosen is shuffled:
        assert len(parts) == 1


@pytest.mark.parametrize("shape", [(12,), (12, 3, 4)])
def test_infinities_that_are_left_out_stay_there(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """Each chosen channel has its own numbers, whatever the others hold."""
    chosen = [7, 0, 2, 4, 6, 8, 11, 10, 3]
    model = make(
        [op("Gather", "x i", "g", axis=1), op("Relu", "g", "y")],
        {"x": ["n", *shape]}, {"y": len(shape) + 1}, {"i": np.array(chosen)},
    )  # fmt: skip
    x = RNG.standard_normal((2, *shape)).astype(np.float32)
    x[:, [1, 5]] = np.inf
    x[:, 9] = np.nan
    x[:, 3] = np.inf  # which is chosen
    (got,) = run(tmp_path, model, x)
    np.testing.assert_array_equal(got, np.maximum(x[:, chosen], 0))


def test_reversed_channels_are_for_any_size(tmp_path: Path) -> None:
    model = make(
        [op("Gather", "x i", "y", axis=1)],
        {"x": ["n", 3, "h", "w"]}, {"y": 4}, {"i": np.array([2, 1, 0])},
    )  # fmt: skip
    flip = facegen.load(save(tmp_path, model), device="cpu")
    for size in ((4, 5), (7, 3)):
        x = RNG.standard_normal((2, 3, *size)).astype(np.float32)
        np.testing.assert_array_equal(flip(x), x[:, ::-1])


def test_a_fault_of_indices_names_the_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(node: object) -> None:
        raise IndexError("index 3 is out of bounds")

    monkeypatch.setitem(OPERATORS, "Relu", fails)  # type: ignore[arg-type]
    path = save(tmp_path, make([op("Relu", "x", "y")], {"x": ["n", 6]}, {"y": 2}))
    with pytest.raises(FormatError, match=r"node 'y' \(Relu\): index 3 is out of bounds"):
        read(path)


@pytest.mark.parametrize("row", [0, 1])
def test_one_pixel_that_we_wrote(tmp_path: Path, row: int) -> None:
    graph = Graph("pixel")
    x = graph.input("x", Shape(3, 4, 2))
    pixel = graph.add("pixel", Slice((row, 1, 1), (row, 1, 1)), x)
    graph.output(graph.add("y", Mul(), x, pixel))
    write(tmp_path / "x.onnx", GraphNetwork.of(graph, {}))
    xs = RNG.standard_normal((2, 2, 3, 4)).astype(np.float32)
    found = facegen.load(tmp_path / "x.onnx", device="cpu")(xs)
    np.testing.assert_array_equal(found, xs * xs[:, :, row : row + 1, row : row + 1])
