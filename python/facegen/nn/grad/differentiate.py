"""A graph and a loss become a table of steps: forward, backward, update.

Backward goes through the layers from the last to the first and leaves out what nothing that is
trained depends on: behind a frozen front nothing is computed. A value that several layers read gets
the sum of what they give back, in the reverse order of the layers.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from facegen.nn.activations import Sigmoid
from facegen.nn.arena import Lifetime, plan_arena
from facegen.nn.grad import steps
from facegen.nn.grad.losses import BinaryCrossEntropy, CrossEntropy, Loss, find_loss
from facegen.nn.grad.optimizers import Optimizer
from facegen.nn.grad.program import TrainingProgram, Value
from facegen.nn.grad.rules import FUSING, Rule, Unit, find_rule, is_differentiable
from facegen.nn.graph import Graph, Node
from facegen.nn.layer import Shape
from facegen.nn.layers import BatchNorm, Reshape, Softmax
from facegen.nn.rewrite import count_readers

TARGET = "target"


def differentiate(
    graph: Graph,
    loss: Loss | str,
    optimizer: Optimizer,
    *,
    frozen: Collection[str] = (),
    stored_statistics: Collection[str] = (),
    dropout: Mapping[str, float] | None = None,
    momentum: float = 0.1,
    algorithm: str = "auto",
) -> TrainingProgram:
    """The steps by which `graph` is trained.

    Parameters
    ----------
    graph
        With one output, of layers that have a rule (see rules.py).
    loss
        Of its output, or its kind: see losses.py.
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

    Raises
    ------
    ValueError
        For a layer without a rule, an unknown loss or layer, and a graph without one output; or
        where everything is frozen.
    """
    if len(graph.outputs) != 1:
        raise ValueError(f"{graph.name} has {len(graph.outputs)} outputs; training takes 1")
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
    for name in stored_statistics:
        if not isinstance(layers[name].layer, BatchNorm):
            raise ValueError(f"{name!r} of {graph.name} is no BatchNorm, but {layers[name].layer}")
    return _Differentiation(
        graph,
        find_loss(loss),
        optimizer,
        set(frozen),
        set(stored_statistics),
        shares,
        momentum,
        algorithm == "direct",
    ).program()


class _Differentiation:
    """The table in the making: a rules.Context."""

    def __init__(
        self,
        graph: Graph,
        loss: Loss,
        optimizer: Optimizer,
        frozen: set[str],
        stored: set[str],
        shares: dict[str, float],
        momentum: float,
        direct_only: bool,
    ) -> None:
        self.graph, self.loss, self.optimizer = graph, loss, optimizer
        self.frozen, self.stored, self.momentum = frozen, stored, momentum
        self.shares = shares
        self.direct_only = direct_only
        self.shapes: dict[str, Shape] = {TARGET: Shape(1, 1, 1)}
        self.roots: dict[str, str] = {}  # a value of a Reshape -> the one that it is
        self.dropped: dict[str, str] = {}  # layer -> the value with some of its output left out
        self.statistics_floats: dict[str, int] = {}
        self.written: set[str] = set()  # gradients
        self.needed: set[str] = set()
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
        node = next(node for node in self.graph.nodes if node.name == layer)
        return layer not in self.frozen and bool(node.layer and node.layer.parameters())

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
        (output,) = (tensor.name for tensor in self.graph.outputs)
        nodes, output = self._without_last(self._live(output), output)
        units = self._units(nodes, output)
        prediction = self._forward(units, output)
        if not self.needs(prediction):
            raise ValueError(f"nothing of {self.graph.name} is left to train: all is frozen")
        self._backward(units, prediction)
        self._update(units)
        parts = {name: tuple(part) for name, part in self.parts.items()}
        ordered = [*parts["forward"], *parts["backward"], *parts["update"]]
        values, arena_floats = self._place(ordered)
        return TrainingProgram(
            name=self.graph.name,
            loss=self.loss,
            forward=parts["forward"],
            backward=parts["backward"],
            update=parts["update"],
            values=values,
            inputs=tuple(tensor.name for tensor in self.graph.inputs),
            prediction=prediction,
            target=TARGET,
            statistics=self.statistics_floats,
            parameters=self.graph.parameters,
            arena_floats=arena_floats,
            clip_norm=self.optimizer.clip_norm,
        )

    def _live(self, output: str) -> list[Node]:
        needed = {output}
        live = []
        for node in reversed(self.graph.nodes):
            if node.name in needed or node.layer is None:
                needed.update(node.inputs)
                live.append(node)
        return live[::-1]

    def _without_last(self, nodes: list[Node], output: str) -> tuple[list[Node], str]:
        """Without the softmax or sigmoid that the loss has in itself."""
        last = nodes[-1]
        inside = {CrossEntropy: Softmax, BinaryCrossEntropy: Sigmoid}.get(type(self.loss))
        if inside is not None and isinstance(last.layer, inside) and last.name == output:
            return nodes[:-1], last.inputs[0]
        return nodes, output

    def _units(self, nodes: list[Node], output: str) -> list[Unit]:
        readers = count_readers(nodes, [output])
        units: list[Unit] = []
        place: dict[str, int] = {}  # of a fusing layer's unit
        for node in nodes:
            if node.layer is None:
                self.shapes[node.name] = node.shape
                continue
            source = node.inputs[0]
            if (
                is_differentiable(node.layer)
                and source in place
                and readers[source] == 1
                and source not in self.shares
            ):
                units[place[source]] = Unit(units[place[source]].node, node)
                continue
            if isinstance(node.layer, FUSING):
                place[node.name] = len(units)
            units.append(Unit(node))
        return units

    def _forward(self, units: list[Unit], output: str) -> str:
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
        prediction = self.dropped.get(output, output)
        gradient, _ = self.gradient_to(prediction)
        self.shapes[TARGET] = self.shapes[prediction]
        if self.loss.labels:
            self.shapes[TARGET] = self.shapes[prediction]._replace(channels=1)
        name = self.loss.kind.replace("_", " ")
        self.add(steps.Loss(name, self.loss.kind, prediction, TARGET, gradient))
        return prediction

    def _drop(self, value: str) -> None:
        name = f"{value}.dropout"
        self.shapes[name] = self.shapes[value]
        self.add(steps.Dropout(name, value, name, self.shares[value], len(self.dropped)))
        self.dropped[value] = name
        if self.needs(value):
            self.needed.add(name)

    def _backward(self, units: list[Unit], prediction: str) -> None:
        self.part = self.parts["backward"] = []
        for unit in reversed(units):
            inputs = tuple(self.dropped.get(name, name) for name in unit.node.inputs)
            unit = Unit(unit.node._replace(inputs=inputs), unit.activation)
            if not self.needs(unit.output):
                continue
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
            if not isinstance(node.layer, BatchNorm) or n in self.frozen or n in self.stored:
                continue
            x = self.dropped.get(node.inputs[0], node.inputs[0])
            self.add(
                steps.UpdateStatistics(
                    f"{n} statistics", x, f"{n}.mean", f"{n}.var", f"{n}.statistics", self.momentum
                )
            )
        for parameter in self.trained(units):
            self.add(self._update_of(parameter))

    def trained(self, units: list[Unit]) -> list[str]:
        """The parameters that have a gradient, in the order of the layers."""
        return [
            f"{unit.node.name}.{parameter}"
            for unit in units
            if self.trains(unit.node.name) and unit.node.layer is not None
            for parameter in unit.node.layer.parameters()
            if parameter not in ("mean", "var")
        ]

    def _update_of(self, parameter: str) -> steps.Update:
        o = self.optimizer
        group, weight_decay = o.group_of(parameter)
        moments = o.moments if getattr(o, "momentum", 1) else ()
        floats = 1
        for size in self.graph.parameters[parameter]:
            floats *= size
        return steps.Update(
            name=f"{parameter} {o.kind}",
            parameter=parameter,
            floats=floats,
            optimizer=o.kind,
            group=group,
            moments=tuple(f"{parameter}:{moment}" for moment in moments),
            weight_decay=weight_decay,
            momentum=getattr(o, "momentum", 0.0),
            nesterov=getattr(o, "nesterov", False),
            betas=getattr(o, "betas", (0.0, 0.0)),
            eps=getattr(o, "eps", 0.0),
            average=None if o.average is None else f"{parameter}:average",
            average_decay=o.average or 0.0,
        )

    def _place(self, ordered: list[steps.TrainingStep]) -> tuple[dict[str, Value], int]:
        """Where every value lives: those that backward reads are kept until then."""
        inputs = [tensor.name for tensor in self.graph.inputs]
        lifetimes: dict[str, Lifetime] = {}
        for i, step in enumerate(ordered):
            for name in (*steps.reads(step), *steps.writes(step)):
                root = self._root(name)
                if root in inputs or root == TARGET:
                    continue
                first = lifetimes[root].first if root in lifetimes else i
                lifetimes[root] = Lifetime(self.shapes[root].floats, first, i)
        offsets, arena_floats = plan_arena(lifetimes)
        values = {}
        for name, shape in self.shapes.items():
            root = self._root(name)
            if root in inputs:
                values[name] = Value(shape, "input", inputs.index(root))
            elif root == TARGET:
                values[name] = Value(shape, "target")
            elif root in offsets:
                values[name] = Value(shape, "arena", offset=offsets[root])
        return values, arena_floats

    def _root(self, value: str) -> str:
        return self.roots.get(value, value)
