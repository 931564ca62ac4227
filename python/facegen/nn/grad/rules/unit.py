"""What a rule is given, and what it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from facegen.nn.activations import Activation
from facegen.nn.grad import steps
from facegen.nn.graph import Node
from facegen.nn.layer import Shape


@dataclass(frozen=True)
class Unit:
    """A layer with the activation that is fused with it."""

    node: Node
    activation: Node | None = None

    @property
    def name(self) -> str:
        return self.node.name if self.activation is None else f"{self.node.name}+{self.output}"

    @property
    def output(self) -> str:
        return (self.activation or self.node).name

    @property
    def function(self) -> tuple[str, tuple[float, float]]:
        """The activation, as steps have it."""
        return ("none", (0.0, 0.0)) if self.activation is None else function_of(self.activation)


class Context(Protocol):
    """What rules see of the table in the making."""

    def shape(self, value: str) -> Shape: ...

    def add(self, step: steps.TrainingStep) -> None:
        """Append a step."""

    def gradient(self, value: str) -> str:
        """The gradient of the loss in a value, which has been written."""

    def gradient_to(self, value: str) -> tuple[str, bool]:
        """Where a value's gradient goes, and whether to add to what is there."""

    def needs(self, value: str) -> bool:
        """Whether anything that is trained depends on a value's gradient."""

    def trains(self, layer: str) -> bool:
        """Whether the parameters of a layer are trained."""

    def keeps_statistics(self, layer: str) -> bool:
        """Whether a batch norm takes its stored statistics and leaves them as they are."""

    def own(self, name: str, shape: Shape) -> str:
        """A new value beside those of the graph."""

    def statistics(self, name: str, floats: int) -> str:
        """A new array of the whole batch."""

    @property
    def direct_only(self) -> bool:
        """No algorithm of lower complexity than the definition's."""

Emit = Callable[[Context, Unit], None]


class Rule(NamedTuple):
    forward: Emit
    backward: Emit


def before_activation(c: Context, unit: Unit) -> str:
    """The gradient in what the unit's activation reads, in place of that in its output."""
    dy = c.gradient(unit.output)
    if unit.activation is not None:
        name = f"{unit.activation.name} dx"
        c.add(steps.ActivateGradient(name, unit.output, dy, dy, *unit.function))
    return dy


def function_of(node: Node) -> tuple[str, tuple[float, float]]:
    assert isinstance(node.layer, Activation)
    return node.layer.kind, node.layer.numbers
