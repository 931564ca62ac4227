"""Two networks as one: what the first gives is what the second takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from facegen.nn import Concat, Graph
from facegen.nn.graph import Tensor


def join(
    first: Graph,
    second: Graph,
    name: str | None = None,
    *,
    given: Mapping[str, str | Sequence[str]] | None = None,
    outputs: Sequence[str] | None = None,
) -> Graph:
    """A graph that computes ``second(first(x))``, its layers named as theirs.

    For a generator that learns through a discriminator, whose layers are then frozen; the trainers
    of both share the arrays of the weights.

    Parameters
    ----------
    given
        What each input of `second` is: the name of an input, layer or output of `first`, or several
        names, whose channels are put one after another. Inputs that are not named here are inputs
        of the joined graph. None: the one input is the one output.
    outputs
        Names of inputs and layers of either graph that are the joined graph's outputs. None: the
        outputs of `second`.

    Raises
    ------
    ValueError
        Where a name is unknown, shapes do not fit, or both have a layer of one name.

    Examples
    --------
    A discriminator of pairs sees the drawing that the generator was given, and what it made of it:

    >>> from facegen.nn import Conv2d, Shape
    >>> generator, judge = Graph("generator"), Graph("judge")
    >>> drawing = generator.input("drawing", Shape(8, 8, 1))
    >>> generator.output(generator.add("picture", Conv2d(1, 3, 1), drawing))
    >>> pair = judge.input("pair", Shape(8, 8, 4))
    >>> judge.output(judge.add("score", Conv2d(4, 1, 1), pair))
    >>> joined = join(
    ...     generator, judge, given={"pair": ("drawing", "picture")}, outputs=("picture", "score")
    ... )
    >>> [node.name for node in joined.nodes]
    ['drawing', 'picture', 'pair', 'score']
    """
    joined = Graph(name or f"{first.name}+{second.name}")
    if given is None:
        (output,), (taken,) = _one(first, "output"), _one(second, "input")
        given = {taken.name: output.name}
    inputs = [tensor.name for tensor in second.inputs]
    for taken_name in given:
        if taken_name not in inputs:
            raise ValueError(f"{second.name} has no input named {taken_name!r}")
    of_first: dict[str, Tensor] = {}
    for node in first.nodes:
        if node.layer is None:
            of_first[node.name] = joined.input(node.name, node.shape)
        else:
            sources = [of_first[source] for source in node.inputs]
            of_first[node.name] = joined.add(node.name, node.layer, *sources)
    placed: dict[str, Tensor] = {}
    for node in second.nodes:
        if node.layer is not None:
            sources = [placed[source] for source in node.inputs]
            placed[node.name] = joined.add(node.name, node.layer, *sources)
        elif node.name in given:
            placed[node.name] = _given(joined, first, of_first, node.name, given[node.name])
            if placed[node.name].shape != node.shape:
                raise ValueError(
                    f"{first.name} gives {placed[node.name].shape}, but {second.name} takes "
                    f"{node.shape}"
                )
        else:
            placed[node.name] = joined.input(node.name, node.shape)
    found = {**placed, **of_first}
    for output_name in outputs or [tensor.name for tensor in second.outputs]:
        if output_name not in found:
            raise ValueError(f"{joined.name} has no layer named {output_name!r}")
        joined.output((placed if outputs is None else found)[output_name])
    return joined


def _given(
    joined: Graph, first: Graph, placed: Mapping[str, Tensor], name: str, given: str | Sequence[str]
) -> Tensor:
    """What an input of the second graph is: a tensor of the first, or some of them in a Concat."""
    sources = [given] if isinstance(given, str) else list(given)
    for source in sources:
        if source not in placed:
            raise ValueError(f"{first.name} has no layer named {source!r}")
    if len(sources) == 1:
        return placed[sources[0]]
    return joined.add(name, Concat(), *(placed[source] for source in sources))


def _one(graph: Graph, kind: str) -> tuple[Tensor, ...]:
    tensors = graph.outputs if kind == "output" else graph.inputs
    if len(tensors) != 1:
        raise ValueError(f"{graph.name} has {len(tensors)} {kind}s, joining takes 1")
    return tensors
