"""Trainers say what they expected, and what they found, of arguments of another kind."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from facegen import nn, train
from facegen.nn import Graph, Shape
from facegen.train.arguments import check_names

SIZES = (3, 2, 2, 3)
X = np.zeros(SIZES, np.float32)
Y = np.zeros((3, 2, 2, 5), np.float32)
LABELS = np.zeros((3, 2, 2), int)
SGD = train.SGD(rate=0.1)


def network() -> Graph:
    graph = Graph("network")
    x = graph.input("x", Shape(*SIZES[1:]))
    graph.output(graph.add("conv", nn.Conv2d(3, 5, 1), x))
    return graph


def trainer(**options: Any) -> train.Trainer:
    choices = {"graph": network(), "loss": "cross_entropy", "optimizer": SGD, "seed": 1, **options}
    return train.Trainer(**choices)


def trainer_of_two() -> train.Trainer:
    """Of two inputs and two targets."""
    graph = Graph("two")
    a, b = (graph.input(name, Shape(*SIZES[1:])) for name in "ab")
    x = graph.add("sum", nn.Add(), a, b)
    for name in "cd":
        graph.output(graph.add(name, nn.Conv2d(3, 5, 1), x))
    return train.Trainer(graph, {"c": "l2", "d": "l2"}, SGD, seed=1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.step(X, None), "targets: expected those of conv, found none"),
        (lambda t: t.gradients(X), "targets: expected those of conv, found none"),
        (lambda t: t.find(X), "targets: expected those of conv, found none"),
        (lambda t: t.hold(X), "targets: expected those of conv, found none"),
        (lambda t: t.step(None, LABELS), "x: expected an array, found none"),
        (lambda t: t.predict(None), "x: expected an array, found none"),
        (lambda t: t.images_of(None), "x: expected an array, found none"),
        (lambda t: t.step([[1], [1, 2]], LABELS), "x: expected an array, found [[1], [1, 2]]"),
        (lambda t: t.step(X, [[1], [1, 2]]), "labels: expected an array, found [[1], [1, 2]]"),
        (lambda t: t.step(X, LABELS, predicted="x"), "predicted must be True or False, not 'x'"),
        (lambda t: t.step(X, LABELS, wait=None), "wait must be True or False, not None"),
        (lambda t: t.gradients(X, LABELS, wait=2), "wait must be True or False, not 2"),
        (lambda t: t.gradients(X, LABELS, on_device="x"), "on_device must be True or False, not"),
        (lambda t: t.predict(X, on_device=1), "on_device must be True or False, not 1"),
        (lambda t: t.run(None, [[0]]), "the data set must be what hold gave, not None"),
        (lambda t: t.run(X, [[0]]), "the data set must be what hold gave, not ndarray"),
        (lambda t: t.run(t.hold(X, LABELS), None), "rows: expected integers (steps, batch), found"),
        (lambda t: t.run(t.hold(X, LABELS), [[0], [0, 1]]), "rows: expected an array, found [[0]"),
        (lambda t: t.apply(None, 3), "found must be what find gave, not None"),
        (lambda t: t.apply(t.find(X, LABELS)[1], "x"), "images must be a whole number, not 'x'"),
        (lambda t: t.most_parts(None), "images must be a whole number, not None"),
        (lambda t: t.load_state_dict(None), "the state must be arrays by names, not None"),
        (lambda t: t.load_state_dict([1]), "the state must be arrays by names, not list"),
        (
            lambda t: t.load_state_dict({**t.state_dict(), "conv.bias": [0.0]}),
            "conv.bias of the state must be an array of NumPy, not list",
        ),
    ],
)
def test_calls(call: Callable[[train.Trainer], Any], message: str) -> None:
    one = trainer()
    before = one.state_dict()
    with pytest.raises(ValueError, match=re.escape(message)):
        call(one)
    for name, array in one.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (None, (Y, Y), "inputs: expected 2 arrays (a, b), found none"),
        (5, (Y, Y), "inputs: expected 2 arrays (a, b), found int"),
        ((X, None), (Y, Y), "b: expected an array, found none"),
        ((X, X, X), (Y, Y), "two takes 2 inputs, not 3"),
        ((X, X), None, "targets: expected those of c, d, found none"),
        ((X, X), 5, "targets: expected 2 arrays (c, d), found int"),
        ((X, X), (Y,), "targets: expected 2 (c, d), found 1"),
        ((X, X), (None, Y), "targets of c: expected an array, found none"),
        ((X, X), {"c": Y, "d": None}, "targets of d: expected an array, found none"),
    ],
)
def test_several_inputs_and_targets(x: Any, y: Any, message: str) -> None:
    two = trainer_of_two()
    with pytest.raises(ValueError, match=re.escape(message)):
        two.step(x, y)
    assert two.steps == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"graph": None}, "graph must be a Graph, not None"),
        ({"loss": ["l2"]}, "unknown loss ['l2']; expected one of: cross_entropy"),
        ({"optimizer": "sgd"}, "optimizer must be an optimizer, such as SGD(rate=0.1), not str"),
        ({"weights": 5}, "the weights must be arrays by names, not int"),
        ({"weights": {"conv.bias": [0.0]}}, "conv.bias of the weights must be an array of NumPy"),
        ({"frozen": "conv"}, "frozen must be a collection of names, not 'conv'"),
        ({"stored_statistics": None}, "stored_statistics must be a collection of names, not None"),
        ({"inputs": "x"}, "inputs must be a collection of names, not 'x'"),
        ({"outputs": 5}, "outputs must be a collection of names, not 5"),
        ({"dropout": ["conv"]}, "dropout must be numbers by names, not list"),
        ({"dropout": {"conv": None}}, "dropout of 'conv' must be a number, not None"),
        ({"momentum": "x"}, "momentum must be a number, not str"),
        ({"moments_of": 5}, "moments_of must be a Trainer, not int"),
    ],
)
def test_what_a_trainer_is_made_of(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        trainer(**options)


def test_flags_of_numpy() -> None:
    one = trainer()
    one.predict(X)
    one.step(X, LABELS, predicted=np.True_, wait=np.True_)
    assert one.steps == 1


@pytest.mark.parametrize("names", [b"conv", np.array("conv"), [1], [[1]], 3])
def test_names_that_are_none(names: object) -> None:
    with pytest.raises(ValueError, match="frozen must be a collection of names"):
        check_names("frozen", names)
    check_names("frozen", ["conv"])


def test_pieces_of_nothing() -> None:
    with pytest.raises(ValueError, match="pieces: expected a list of arrays, found int"):
        train.Pieces(5)  # type: ignore[arg-type]
