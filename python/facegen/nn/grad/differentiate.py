"""A graph and its losses become a table of steps: forward, backward, update.

Backward goes through the layers from the last to the first and leaves out what nothing that is
trained depends on: behind a frozen front nothing is computed. A value that several layers read gets
the sum of what they give back, in the reverse order of the layers.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from facegen.nn.grad import steps
from facegen.nn.grad.joined import joined
from facegen.nn.grad.losses import Loss, Losses
from facegen.nn.grad.optimizers import Optimizer
from facegen.nn.grad.outputs import losses_by_output, prediction
from facegen.nn.grad.placement import place
from facegen.nn.grad.program import TrainingProgram
from facegen.nn.grad.rules import Rule, Unit, find_rule
from facegen.nn.grad.steps.ends import RoundingMode
from facegen.nn.grad.units import fused, live
from facegen.nn.grad.updates import update_of
from facegen.nn.graph import Graph
from facegen.nn.layer import Shape
from facegen.nn.layers import BatchNorm, Reshape
from facegen.nn.rewrite import without_inverses


def differentiate(
    graph: Graph,
    loss: Losses,
    optimizer: Optimizer,
    *,
    frozen: Collection[str] = (),
    stored_statistics: Collection[str] = (),
    dropout: Mapping[str, float] | None = None,
    momentum: float = 0.1,
    algorithm: str = "auto",
    input_gradients: Collection[str] = (),
    outputs: Collection[str] = (),
    rounding: RoundingMode | None = None,
) -> TrainingProgram:
    """The steps by which `graph` is trained.

    Parameters
    ----------
    graph
        Of layers that have a rule (see grad/rules).
    loss
        Of its output, or its kind: see losses.py. Of a graph of several outputs: by their names,
        and what is minimised is the sum, each times its weight.
    optimizer
        See optimizers.py.
    frozen
        Layers whose parameters stay as they are, a batch norm's mean and variance among them.
    stored_statistics
        Batch norms that take their stored mean and variance rather than the batch's.
    dropout
        By layer, which share of its output is left out in training.
    momentum
        How far a batch norm's stored statistics move towards those of each batch.
    algorithm
        As for `facegen.nn.lower`.
    input_gradients
        Inputs of the graph whose gradients are computed as well.
    outputs
        Of the graph, whose values can be had after a step. Layers that no loss depends on stay as
        they are.
    rounding
        How parameters become bfloat16 when they have changed; None: they stay float32.

    Raises
    ------
    ValueError
        For a layer without a rule, an unknown loss, layer or output, and one loss for a graph of
        several outputs; or where everything is frozen.
    """
    if algorithm not in ("auto", "direct"):
        raise ValueError(f'algorithm must be "auto" or "direct", not {algorithm!r}')
    if not 0 <= momentum <= 1:
        raise ValueError(f"momentum must be from 0 to 1, not {momentum!r}")
    shares = dict(dropout or {})
    layers = {node.name: node for node in graph.nodes if node.layer is not None}
    for name in (*frozen, *stored_statistics, *shares):
        if name not in layers:
            raise ValueError(f"{graph.name} has no layer named {name!r}")
    for name, share in shares.items():
        if not 0 <= share < 1:
            raise ValueError(f"dropout of {name!r} must be from 0 to below 1, not {share!r}")
    inputs = [tensor.name for tensor in graph.inputs]
    for name in input_gradients:
        if name not in inputs:
            raise ValueError(f"{graph.name} has no input named {name!r}")
    ends = [tensor.name for tensor in graph.outputs]
    for name in outputs:
        if name not in ends:
            raise ValueError(f"{graph.name} has no output named {name!r}, but: {', '.join(ends)}")
    for name in stored_statistics:
        if not isinstance(layers[name].layer, BatchNorm):
            raise ValueError(f"{name!r} of {graph.name} is no BatchNorm, but {layers[name].layer}")
    return _Differentiation(
        graph,
        losses_by_output(graph, loss),
        optimizer,
        set(frozen),
        set(stored_statistics),
        shares,
        momentum,
        algorithm == "direct",
        tuple(name for name in inputs if name in input_gradients),
        tuple(name for name in ends if name in outputs),
        rounding,
    ).program()


class _Differentiation:
    """The table in the making: a rules.Context."""

    def __init__(
        self,
        graph: Graph,
        losses: dict[str, Loss],
        optimizer: Optimizer,
        frozen: set[str],
        stored: set[str],
        shares: dict[str, float],
        momentum: float,
        direct_only: bool,
        input_gradients: tuple[str, ...],
        outputs: tuple[str, ...],
        rounding: RoundingMode | None,
    ) -> None:
        self.graph, self.losses, self.optimizer = graph, losses, optimizer
        self.frozen, self.stored, self.momentum = frozen, stored, momentum
        self.with_parameters = {
            node.name for node in graph.nodes if node.layer is not None and node.layer.parameters()
        }
        self.shares = shares
        self.direct_only = direct_only
        self.input_gradients, self.outputs = input_gradients, outputs
        self.rounding = rounding
        self.targets: list[str] = []
        self.shapes: dict[str, Shape] = {}
        self.roots: dict[str, str] = {}  # a value of a Reshape -> the one that it is
        self.dropped: dict[str, str] = {}  # layer -> the value with some of its output left out
        self.statistics_floats: dict[str, int] = {}
        self.written: set[str] = set()  # gradients
        self.reached: set[str] = set()  # layers that a loss depends on
        self.needed: set[str] = set(input_gradients)
        self.parts: dict[str, list[steps.TrainingStep]] = {}
        self.part: list[steps.TrainingStep] = []

    # What rules ask for.

    def shape(self, value: str) -> Shape:
        return self.shapes[value]

    def add(self, step: steps.TrainingStep) -> None:
        self.part.append(step)

    def gradient(self, value: str) -> str:
        name = f"d({value})"
        if name not in self.shapes:
            self.shapes[name] = self.shapes[value]
            if self._root(value) != value:
                self.roots[name] = f"d({self._root(value)})"
                self.shapes[self.roots[name]] = self.shapes[self._root(value)]
        return name

    def gradient_to(self, value: str) -> tuple[str, bool]:
        name = self.gradient(value)
        accumulate = self._root(name) in self.written
        self.written.add(self._root(name))
        return name, accumulate

    def needs(self, value: str) -> bool:
        return value in self.needed

    def trains(self, layer: str) -> bool:
        return layer not in self.frozen and layer in self.with_parameters

    def keeps_statistics(self, layer: str) -> bool:
        return layer in self.stored

    def own(self, name: str, shape: Shape) -> str:
        self.shapes[name] = shape
        return name

    def statistics(self, name: str, floats: int) -> str:
        self.statistics_floats[name] = floats
        return name

    # The table.

    def program(self) -> TrainingProgram:
        ends = {name: prediction(self.graph, name, loss) for name, loss in self.losses.items()}
        shown = [*ends.values(), *self.outputs]
        nodes = without_inverses(live(self.graph, shown))
        self.shapes |= {node.name: node.shape for node in nodes if node.layer is None}
        units = fused(nodes, shown, self.shares)
        self._forward(units)
        if not any(map(self.needs, ends.values())):
            raise ValueError(f"nothing of {self.graph.name} is left to train: all is frozen")
        for output, end in ends.items():
            self._lose(output, self.dropped.get(end, end))
        self._backward(units)
        for name in self.input_gradients:
            if self._root(self.gradient(name)) not in self.written:
                raise ValueError(f"no loss of {self.graph.name} depends on its input {name!r}")
        self._update(units)
        self.parts["backward"] = joined(self.parts["backward"])
        parts = {name: tuple(part) for name, part in self.parts.items()}
        ordered = [*parts["forward"], *parts["backward"], *parts["update"]]
        kept = {self._root(self.gradient(name)) for name in self.input_gradients}
        kept |= {self._root(name) for name in self.outputs}
        inputs = [tensor.name for tensor in self.graph.inputs]
        values, arena_floats = place(
            ordered, self.shapes, self._root, inputs, self.targets, kept
        )
        return TrainingProgram(
            name=self.graph.name,
            forward=parts["forward"],
            backward=parts["backward"],
            update=parts["update"],
            values=values,
            inputs=tuple(inputs),
            statistics=self.statistics_floats,
            parameters=self.graph.parameters,
            arena_floats=arena_floats,
            clip_norm=self.optimizer.clip_norm,
            input_gradients=self.input_gradients,
            outputs=self.outputs,
        )

    def _forward(self, units: list[Unit]) -> None:
        self.part = self.parts["forward"] = []
        for unit in units:
            inputs = tuple(self.dropped.get(name, name) for name in unit.node.inputs)
            unit = Unit(unit.node._replace(inputs=inputs), unit.activation)
            self.shapes[unit.output] = unit.node.shape
            trained = self.trains(unit.node.name)
            if trained or any(map(self.needs, unit.node.inputs)):
                self.needed.add(unit.output)
            if isinstance(unit.node.layer, Reshape):
                self.roots[unit.output] = self._root(inputs[0])
            else:
                self._rule(unit).forward(self, unit)
            if unit.output in self.shares:
                self._drop(unit.output)

    def _lose(self, output: str, prediction: str) -> None:
        loss, target = self.losses[output], None
        if loss.target != "none":
            target = f"target({output})"
            self.targets.append(target)
            shape = self.shapes[prediction]
            self.shapes[target] = shape._replace(channels=1) if loss.target == "labels" else shape
        gradient, accumulate = self.gradient_to(prediction)
        weight = "" if loss.weight == 1 else f"{loss.weight:g} "
        name = f"{weight}{loss.kind.replace('_', ' ')} of {output}"
        self.add(steps.Loss(name, loss, output, prediction, target, gradient, accumulate))

    def _drop(self, value: str) -> None:
        name = f"{value}.dropout"
        self.shapes[name] = self.shapes[value]
        self.add(steps.Dropout(name, value, name, self.shares[value], len(self.dropped)))
        self.dropped[value] = name
        if self.needs(value):
            self.needed.add(name)

    def _backward(self, units: list[Unit]) -> None:
        self.part = self.parts["backward"] = []
        for unit in reversed(units):
            inputs = tuple(self.dropped.get(name, name) for name in unit.node.inputs)
            unit = Unit(unit.node._replace(inputs=inputs), unit.activation)
            if not self.needs(unit.output) or not self._is_reached(unit.output):
                continue
            self.reached.add(unit.node.name)
            if unit.output in self.dropped:
                stream = list(self.dropped).index(unit.output)
                source = self.gradient(self.dropped[unit.output])
                dx, accumulate = self.gradient_to(unit.output)
                name, share = f"{self.dropped[unit.output]} dx", self.shares[unit.output]
                self.add(steps.Dropout(name, source, dx, share, stream, accumulate))
            if isinstance(unit.node.layer, Reshape):
                self.written.add(self._root(self.gradient(inputs[0])))
                continue
            self._rule(unit).backward(self, unit)

    def _is_reached(self, value: str) -> bool:
        """Whether a loss depends on it: what is merely shown, as of `outputs`, has no gradient."""
        return f"d({self._root(self.dropped.get(value, value))})" in self.written

    def _rule(self, unit: Unit) -> Rule:
        try:
            return find_rule(unit.node)
        except ValueError as error:
            raise ValueError(f"{self.graph.name}: {error}") from None

    def _update(self, units: list[Unit]) -> None:
        self.part = self.parts["update"] = []
        for unit in units:
            node = unit.node
            n = node.name
            stays = n in self.frozen or n in self.stored or n not in self.reached
            if not isinstance(node.layer, BatchNorm) or stays:
                continue
            x = self.dropped.get(node.inputs[0], node.inputs[0])
            self.add(
                steps.UpdateStatistics(
                    f"{n} statistics", x, f"{n}.mean", f"{n}.var", f"{n}.statistics", self.momentum
                )
            )
        for stream, parameter in enumerate(self.trained(units)):
            floats = math.prod(self.graph.parameters[parameter])
            self.add(update_of(parameter, floats, self.optimizer, self.rounding, stream))

    def trained(self, units: list[Unit]) -> list[str]:
        """The parameters that have a gradient, in the order of the layers."""
        return [
            f"{unit.node.name}.{parameter}"
            for unit in units
            if self.trains(unit.node.name) and unit.node.layer is not None
            and unit.node.name in self.reached
            for parameter in unit.node.layer.parameters()
            if parameter not in ("mean", "var")
        ]

    def _root(self, value: str) -> str:
        return self.roots.get(value, value)
