"""What the native reader of a training program refuses: what passes it, the engine trusts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from facegen import nn
from facegen._native import CpuTraining
from facegen.nn import Shape
from facegen.nn.grad import L2, SGD, TrainingProgram, differentiate, steps


def program_of(*layers: nn.Layer, loss: str = "l2") -> TrainingProgram:
    """Layers behind a convolution that is trained, so that each of them has its gradient."""
    graph = nn.Graph("chain")
    x = graph.add("front", nn.Conv2d(2, 3, 1), graph.input("x", Shape(4, 4, 2)))
    for i, layer in enumerate(layers):
        x = graph.add(f"layer{i}", layer, x)
    graph.output(x)
    return differentiate(graph, loss, SGD(rate=0.1))


def make(program: TrainingProgram) -> CpuTraining:
    shapes = {**program.parameters, **program.state}
    return CpuTraining(
        program, {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    )


def changed(program: TrainingProgram, kind: type, **fields: object) -> TrainingProgram:
    """With other fields in each step of a kind."""
    parts = {
        part: tuple(
            replace(step, **fields) if isinstance(step, kind) else step
            for step in getattr(program, part)
        )
        for part in ("forward", "backward", "update")
    }
    return replace(program, **parts)


@pytest.mark.parametrize(
    ("layer", "kind"),
    [
        (nn.MaxPool2d(2), steps.MaxPoolGradient),
        (nn.Tanh(), steps.ActivateGradient),
        (nn.Upsample(2), steps.ResampleGradient),
        (nn.GlobalAvgPool2d(), steps.GlobalAvgPoolGradient),
    ],
)
def test_a_gradient_that_goes_nowhere(layer: nn.Layer, kind: type) -> None:
    program = program_of(nn.MaxPool2d(1), layer)  # what would be fused with the convolution is not
    make(program)
    with pytest.raises(ValueError, match=r"layer1 dx: no dx"):
        make(changed(program, kind, dx=None))


def test_a_pool_s_gradient_takes_that_of_a_relu_alone() -> None:
    program = program_of(nn.MaxPool2d(1), nn.MaxPool2d(2))
    make(changed(program, steps.MaxPoolGradient, activation="relu"))
    with pytest.raises(ValueError, match="of an activation that is no ReLU"):
        make(changed(program, steps.MaxPoolGradient, activation="tanh"))


def test_a_step_without_an_operand() -> None:
    """Steps are told by their class's name, whatever attributes they have."""

    class BiasGradient:
        name, bias = "front db", "front.bias"

    program = program_of()
    backward = tuple(
        BiasGradient() if isinstance(step, steps.BiasGradient) else step
        for step in program.backward
    )
    with pytest.raises(ValueError, match="a step without an operand that it needs"):
        make(replace(program, backward=backward))


def test_every_target_belongs_to_one_loss() -> None:
    program = program_of(loss="cross_entropy")
    (loss,) = program.losses
    make(program)
    with pytest.raises(ValueError, match="a target that another loss takes"):
        make(replace(program, forward=(*program.forward, loss)))
    pairs = program_of(loss="relativistic_pairs")
    make(pairs)
    with pytest.raises(ValueError, match="a loss behind the forward pass"):
        make(replace(pairs, backward=(pairs.losses[0], *pairs.backward)))
    with pytest.raises(ValueError, match="a target too many, or none"):
        make(changed(program, steps.Loss, target=None))
    with pytest.raises(ValueError, match="a target of other channels"):
        make(changed(program, steps.Loss, loss=L2()))


def of_target(program: TrainingProgram) -> TrainingProgram:
    gradient = replace(program.values["d(front)"], shape=program.values["target(front)"].shape)
    values = {**program.values, "d(front)": gradient}
    return changed(replace(program, values=values), steps.Loss, prediction="target(front)")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (of_target, "l2 of front: the prediction is the target"),
        (
            lambda program: changed(program, steps.Update, group=2**31 - 1),
            "sgd: group 2147483647, expected 0 to 1048575",
        ),
        (lambda program: changed(program, steps.Update, group=-1), "group -1, expected 0 to"),
        (lambda program: replace(program, outputs=("x",)), "writes what is the caller's"),
        (lambda program: replace(program, outputs=("other",)), "other"),
    ],
)
def test_other_programs_that_are_refused(
    spoil: Callable[[TrainingProgram], TrainingProgram], message: str
) -> None:
    program = program_of()
    make(program)
    with pytest.raises(ValueError, match=message):
        make(spoil(program))


def test_labels_outside_the_classes() -> None:
    native = make(program_of(loss="cross_entropy"))
    x, losses = np.zeros((1, 4, 4, 2), np.float32), np.empty((1, 1))
    for label in (3, 2**31 - 1):
        labels = np.full((1, 4, 4, 1), label, np.int32)
        with pytest.raises(ValueError, match=f"labels must be below 3, found {label} at 0"):
            native.step([x], [labels], losses, [0.1], 0, 0, False, 1)
    for label in (-1, -(2**31)):  # no class: does not count
        labels = np.full((1, 4, 4, 1), label, np.int32)
        assert native.step([x], [labels], losses, [0.1], 0, 0, False, 1) == losses[0] == 0
