"""A graph as plain data, lists and dicts of numbers and strings, and back.

Layers are frozen dataclasses: those of their fields that have not their default are written as they
are, and each field's annotation says what is taken for it. A new layer needs nothing here.
"""

from __future__ import annotations

import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields
from functools import cache
from numbers import Integral, Real
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from facegen import nn
from facegen.nn import Graph, Layer, Shape

# Every layer by its name in a file.
LAYERS: Mapping[str, type[Layer]] = {
    name: each
    for name, each in vars(nn).items()
    if isinstance(each, type) and issubclass(each, Layer) and each is not Layer
}
MOST_NODES, MOST_OUTPUTS = 10_000, 1_000
_MOST_LISTED = 16  # numbers that a field of a layer may list


def to_data(graph: Graph) -> dict[str, Any]:
    """What `from_data` reads.

    >>> graph = Graph("small")
    >>> graph.output(graph.add("relu", nn.ReLU(), graph.input("x", Shape(1, 1, 3))))
    >>> to_data(graph)["nodes"]
    [{'name': 'x', 'shape': [1, 1, 3]}, {'name': 'relu', 'layer': 'ReLU', 'reads': ['x']}]
    """
    nodes: list[dict[str, Any]] = []
    for node in graph.nodes:
        if node.layer is None:
            nodes.append({"name": node.name, "shape": list(node.shape)})
            continue
        kind = type(node.layer).__name__
        if LAYERS.get(kind) is not type(node.layer):
            raise ValueError(f"layer {node.name!r}: {kind} is no layer of facegen.nn")
        entry = {"name": node.name, "layer": kind, "reads": list(node.inputs)}
        given = {each.name: getattr(node.layer, each.name) for each in _fields(kind)}
        defaults = {each.name: each.default for each in _fields(kind)}
        stated = {k: _plain(v) for k, v in given.items() if v != defaults[k]}
        for name, value in stated.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"layer {node.name!r}: {name} must be finite, not {value}")
        nodes.append({**entry, "fields": stated} if stated else entry)
    return {
        "name": graph.name,
        "nodes": nodes,
        "outputs": [tensor.name for tensor in graph.outputs],
    }


def from_data(data: object) -> Graph:
    """The graph that `to_data` wrote.

    Raises
    ------
    ValueError
        Anything that is missing, unknown, of another type or no graph; the message says where.
    """
    stated = entries(data, "the graph", {"name": str, "nodes": list, "outputs": list})
    if not 1 <= len(stated["nodes"]) <= MOST_NODES:
        found = len(stated["nodes"])
        raise ValueError(f"the graph: expected 1 to {MOST_NODES:,} nodes, found {found:,}")
    if not 1 <= len(stated["outputs"]) <= MOST_OUTPUTS:
        found = len(stated["outputs"])
        raise ValueError(f"the graph: expected 1 to {MOST_OUTPUTS:,} outputs, found {found:,}")
    graph = Graph(stated["name"])
    tensors: dict[str, nn.Tensor] = {}
    for index, entry in enumerate(stated["nodes"]):
        where = f"node {index}"
        if isinstance(entry, dict) and isinstance(entry.get("name"), str):
            where += f" ({entry['name']!r:.100})"
        tensor = _node(graph, tensors, entry, where)
        tensors[tensor.name] = tensor
    for name in stated["outputs"]:
        graph.output(_tensor(tensors, name, "the graph's outputs"))
    return graph


Kinds = Mapping[str, type | tuple[type, ...]]


def entries(
    data: object, where: str, kinds: Kinds, optional: Kinds | None = None
) -> dict[str, Any]:
    """A dict of exactly these keys, whose values are of these types; `optional` may lack."""
    if not isinstance(data, dict):
        raise ValueError(f"{where}: expected a dict, found {_shown(data)}")
    known = {**kinds, **(optional or {})}
    for key, value in data.items():
        if key not in known:
            raise ValueError(f"{where}: unknown entry {key!r:.100}")
        wanted = known[key]
        allowed = wanted if isinstance(wanted, tuple) else (wanted,)
        if type(value) not in allowed:
            raise ValueError(
                f"{where}: expected {key!r} as a {allowed[0].__name__}, found {_shown(value)}"
            )
    for key in kinds:
        if key not in data:
            raise ValueError(f"{where}: has no {key!r}")
    return data


def whole_numbers(data: object, where: str) -> tuple[int, ...]:
    """A list of ints."""
    if not isinstance(data, list) or any(type(each) is not int for each in data):
        raise ValueError(f"{where}: expected a list of whole numbers, found {_shown(data)}")
    return tuple(data)


def _node(graph: Graph, tensors: Mapping[str, nn.Tensor], entry: object, where: str) -> nn.Tensor:
    if isinstance(entry, dict) and "shape" in entry:
        stated = entries(entry, where, {"name": str, "shape": list})
        try:
            return graph.input(stated["name"], _taken(Shape, stated["shape"], where))
        except ValueError as error:
            raise _placed(error, where) from None
    kinds = {"name": str, "layer": str, "reads": list}
    stated = entries(entry, where, kinds, {"fields": dict})
    if stated["layer"] not in LAYERS:
        raise ValueError(f"{where}: unknown layer {stated['layer']!r:.100}")
    reads = [_tensor(tensors, name, where) for name in stated["reads"]]
    try:
        layer = _layer(stated["layer"], stated.get("fields", {}), where)
        return graph.add(stated["name"], layer, *reads)
    except (ValueError, TypeError, OverflowError) as error:
        raise _placed(error, where) from None


def _placed(error: Exception, where: str) -> ValueError:
    text = str(error)
    return ValueError(text if text.startswith(where) else f"{where}: {text}")


def _tensor(tensors: Mapping[str, nn.Tensor], name: object, where: str) -> nn.Tensor:
    if not isinstance(name, str) or name not in tensors:
        raise ValueError(f"{where}: {_shown(name)} is no node before it")
    return tensors[name]


def _layer(kind: str, stated: Mapping[str, object], where: str) -> Layer:
    known = {each.name: each for each in _fields(kind)}
    hints = _hints(kind)
    for name in stated:
        if name not in known:
            raise ValueError(f"{where}: {kind} has no field {name!r:.100}")
    for name, each in known.items():
        if name not in stated and each.default is MISSING and each.default_factory is MISSING:
            raise ValueError(f"{where}: {kind} lacks its field {name!r}")
    given = {
        name: _taken(hints[name], value, f"{where}: field {name!r} of {kind}")
        for name, value in stated.items()
    }
    return LAYERS[kind](**given)


@cache
def _fields(kind: str) -> tuple[Field[Any], ...]:
    return tuple(each for each in fields(LAYERS[kind]) if each.init)  # type: ignore[arg-type]


@cache
def _hints(kind: str) -> dict[str, Any]:
    return get_type_hints(LAYERS[kind])


def _plain(value: Any) -> Any:
    """A field's value as JSON has it."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    return [_plain(each) for each in value]


def _taken(hint: Any, value: object, where: str) -> Any:
    """A value as a field's annotation has it."""
    for kind in _alternatives(hint):
        try:
            return _as(kind, value)
        except TypeError:
            continue
    expected = " or ".join(_called(kind) for kind in _alternatives(hint))
    raise ValueError(f"{where}: expected {expected}, found {_shown(value)}")


def _as(kind: Any, value: object) -> Any:
    """The value as one kind, or a TypeError."""
    if kind is type(None) and value is None:
        return None
    if kind in (int, bool, str) and type(value) is kind:
        return value
    if kind is float and type(value) in (int, float):
        try:
            number = float(value)  # type: ignore[arg-type]
        except OverflowError:
            raise TypeError from None
        if math.isfinite(number):
            return number
    origin = get_origin(kind)
    if origin is Literal and type(value) is str and value in get_args(kind):
        return value
    if isinstance(value, list) and len(value) <= _MOST_LISTED:
        if kind is Shape and len(value) == 3:
            return Shape(*(_as(int, each) for each in value))
        if origin is Sequence:
            return tuple(_as(get_args(kind)[0], each) for each in value)
        if origin is tuple and len(get_args(kind)) == len(value):
            return tuple(_as(k, each) for k, each in zip(get_args(kind), value, strict=True))
    raise TypeError


def _alternatives(hint: Any) -> tuple[Any, ...]:
    """The members of a union, those of a sequence that may hold several kinds among them."""
    if get_origin(hint) in (Union, types.UnionType):
        return tuple(kind for member in get_args(hint) for kind in _alternatives(member))
    return (hint,)


_WORDS = {int: "a whole number", float: "a finite number", bool: "true or false", str: "a string"}


def _called(kind: Any) -> str:
    if kind in _WORDS:
        return _WORDS[kind]
    if kind is type(None):
        return "null"
    if get_origin(kind) is Literal:
        return " or ".join(repr(each) for each in get_args(kind))
    if kind is Shape:
        return "[height, width, channels]"
    return "a list of lists" if get_origin(get_args(kind)[0]) is Sequence else "a list of numbers"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
