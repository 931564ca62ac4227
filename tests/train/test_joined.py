"""A max pool's gradient with that of the ReLU before it, against the two steps apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from training_cases import CASES
from training_engines import ENGINES, make

from facegen.nn.grad import SGD, TrainingProgram, differentiate, steps

POOLED = [name for name in CASES if name.startswith("max pool ") and "channels" in name]


def apart(program: TrainingProgram) -> TrainingProgram:
    """The program with every step that was joined as the two that it was."""
    backward: list[steps.TrainingStep] = []
    for step in program.backward:
        if isinstance(step, steps.MaxPoolGradient) and step.activation != "none":
            backward.append(replace(step, activation="none", numbers=(0.0, 0.0)))
            function = (step.activation, step.numbers)
            backward.append(steps.ActivateGradient("relu", step.x, step.dx, step.dx, *function))
        else:
            backward.append(step)
    return replace(program, backward=tuple(backward))


@pytest.mark.parametrize("which", ENGINES)
@pytest.mark.parametrize("name", [*POOLED, "max pool after a leaky ReLU"])
def test_the_same_bits(name: str, which: str) -> None:
    case = CASES[name]()
    program = differentiate(case.graph, case.loss, SGD(rate=0.1))
    two = apart(program)
    assert len(two.backward) == len(program.backward) + 1
    random = np.random.default_rng(1)
    weights = {
        name: random.uniform(-0.5, 0.5, shape).astype(np.float32)
        for name, shape in case.graph.parameters.items()
    }
    found = []
    for each in (program, two):
        native = make(each, {name: array.copy() for name, array in weights.items()}, which)
        losses = np.empty((1, len(case.x[0])))
        native.step(case.x, case.y, losses, [0.1], 0, 0, False, 2)
        found.append({name: native.gradient(name) for name in each.trained})
    for parameter, gradient in found[0].items():
        np.testing.assert_array_equal(gradient, found[1][parameter], err_msg=parameter)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("max pool", ["none"]),
        ("max pool of a hyperbolic tangent", ["none"]),
        # The last to add to the ReLU's gradient takes it.
        ("max pool of what is read twice", ["none", "relu"]),
    ],
)
def test_which_are_joined(name: str, expected: list[str]) -> None:
    case = CASES[name]()
    program = differentiate(case.graph, case.loss, SGD(rate=0.1))
    found = [s.activation for s in program.backward if isinstance(s, steps.MaxPoolGradient)]
    assert found == expected
