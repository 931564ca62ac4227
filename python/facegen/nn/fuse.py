"""Layers to drafts: each draft is one step to be, led by one layer, with others fused into it.

Per-channel affine layers (batch norm, Affine) that directly follow a convolution, linear layer or
instance norm are folded into its weights. After an activation they become the scale and shift of
the epilogue: exact at the borders, at one fused multiply-add an output. (Folding them into the
next convolution would need other constants wherever its window reaches over the border.)
Activations and combinations of two maps become parts of the epilogue. Where nothing makes a value
that a batch norm may be folded into (DenseNet normalises concatenations), an activation behind the
norm makes it a depthwise convolution 1x1, whose epilogue has that order. Nothing is fused into a
value that somebody else reads as well.

A batch norm before a Sign is a threshold (see constants.py). Where it cannot be folded, as behind
a pool, the two are a step of their own rather than a scale of the pool's that is rounded.

Operands are still named values here; ``placement.py`` gives them places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from facegen.nn.activations import Activation, Sign
from facegen.nn.gemm_layers import GemmLayer
from facegen.nn.graph import Node
from facegen.nn.layer import Shape
from facegen.nn.layers import (
    Affine,
    BatchNorm,
    Channels,
    ChannelShuffle,
    Combination,
    Concat,
    DepthToSpace,
    MaxPool2d,
    Reshape,
)
from facegen.nn.rewrite import count_readers
from facegen.nn.step_draft import StepDraft

POINTWISE = (Activation, BatchNorm, Affine, Combination)


@dataclass
class Fused:
    """Drafts in order, and what every value's name now stands for."""

    drafts: list[StepDraft]
    base: dict[str, str]  # value -> the input or the draft (by its lead) whose floats it reads
    shapes: dict[str, Shape]
    # Values that are some channels of another: the other, and the first of them.
    windows: dict[str, tuple[str, int]] = field(default_factory=dict)


def fuse(nodes: Sequence[Node], outputs: Sequence[str]) -> Fused:
    """Turn layers into as few drafts as possible."""
    readers = count_readers(nodes, outputs)
    result = Fused([], {}, {node.name: node.shape for node in nodes})
    drafts: dict[str, StepDraft] = {}  # by lead
    # Values that only the layer at hand reads, all the way back to their draft's raw result.
    exclusive: dict[str, bool] = {}
    readers_of: dict[str, list[Node]] = {}
    for node in nodes:
        for name in node.inputs:
            readers_of.setdefault(name, []).append(node)
    signs = _signs(nodes)

    for node in nodes:
        alone = readers[node.name] == 1
        if node.layer is None:
            result.base[node.name] = node.name
            exclusive[node.name] = alone
            continue
        if isinstance(node.layer, Reshape):
            (source,) = node.inputs
            result.base[node.name] = result.base[source]
            exclusive[node.name] = alone and exclusive[source]
            continue
        if isinstance(node.layer, Channels):
            _take_channels(node, node.layer, result, drafts, readers_of, outputs)
            exclusive[node.name] = alone and node.name not in result.windows
            continue
        exclusive[node.name] = alone

        draft = _fuse_into_producer(node, result, drafts, exclusive, readers_of)
        if draft is None:
            draft = _draft(node, result.shapes)
            draft.on_signs = signs.issuperset(node.inputs)
            _take_shuffle(draft, result, drafts, exclusive)
            _order_for_blocks(draft, result, drafts, exclusive)
            drafts[node.name] = draft
            result.drafts.append(draft)
        result.base[node.name] = draft.lead.name
    return result


def _signs(nodes: Sequence[Node]) -> set[str]:
    """Values that are +1 and -1 alone."""
    signs: set[str] = set()
    for node in nodes:
        moves = isinstance(node.layer, MaxPool2d | Reshape | Channels | ChannelShuffle | Concat)
        if isinstance(node.layer, Sign) or (moves and signs.issuperset(node.inputs)):
            signs.add(node.name)
    return signs


def _take_channels(
    node: Node,
    layer: Channels,
    result: Fused,
    drafts: dict[str, StepDraft],
    readers_of: Mapping[str, Sequence[Node]],
    outputs: Sequence[str],
) -> None:
    """A window of what the channels are a part of; a copy for who needs their pixels packed."""
    (source,) = node.inputs
    packed = node.name in outputs or any(
        isinstance(reader.layer, Reshape) for reader in readers_of.get(node.name, ())
    )
    window = f"{node.name}[:]" if packed else node.name
    result.shapes[window] = node.shape
    result.windows[window] = source, layer.first
    result.base[window] = result.base[source]
    if packed:
        draft = StepDraft(node, (window,), [node.name])
        drafts[node.name] = draft
        result.drafts.append(draft)
        result.base[node.name] = node.name


def _take_shuffle(
    draft: StepDraft, result: Fused, drafts: dict[str, StepDraft], exclusive: Mapping[str, bool]
) -> None:
    """A shuffle of channels that a product alone reads becomes a part of its weights."""
    layer = draft.lead.layer
    if not isinstance(layer, GemmLayer) or layer.groups > 1:
        return
    (value,) = draft.inputs
    shuffle = drafts.get(result.base[value])
    if (
        shuffle is not None
        and isinstance(shuffle.lead.layer, ChannelShuffle)
        and shuffle.lead.name == value
        and exclusive[value]
    ):
        result.drafts.remove(shuffle)
        draft.inputs, draft.shuffled = shuffle.inputs, shuffle.lead.layer.groups
        draft.fused.insert(0, value)


def _order_for_blocks(
    draft: StepDraft, result: Fused, drafts: dict[str, StepDraft], exclusive: Mapping[str, bool]
) -> None:
    """A product whose channels become pixels alone makes those of one pixel side by side.

    PyTorch's pixel shuffles have them elsewhere, and would gather every pixel number by number:
    a tenth of the time of a network for super-resolution. So the rows of its weights change places.
    """
    layer = draft.lead.layer
    if not isinstance(layer, DepthToSpace) or layer.depth_first:
        return
    (value,) = draft.inputs
    product = drafts.get(result.base[value])
    if (
        product is not None
        and isinstance(product.lead.layer, GemmLayer)
        and product.lead.layer.groups == 1
        and product.other is None
        and product.fused[-1] == value
        and exclusive[value]
    ):
        product.blocks = layer.block
        draft.lead = draft.lead._replace(layer=replace(layer, depth_first=True))


def _draft(node: Node, shapes: Mapping[str, Shape]) -> StepDraft:
    """A draft of a step of its own for `node`."""
    if isinstance(node.layer, Combination):
        own, other = node.inputs
        if shapes[own] != node.shape:  # it spreads
            own, other = other, own
        return StepDraft(node, (own,), [node.name], other=other, combine=node.layer.kind)
    draft = StepDraft(node, node.inputs, [])
    if not (isinstance(node.layer, POINTWISE) and draft.absorb(node)):
        draft.fused.append(node.name)
    return draft


def _fuse_into_producer(
    node: Node,
    result: Fused,
    drafts: dict[str, StepDraft],
    exclusive: dict[str, bool],
    readers_of: Mapping[str, Sequence[Node]],
) -> StepDraft | None:
    """The draft that `node` was fused into, or None."""
    if not isinstance(node.layer, POINTWISE):
        return None
    if not isinstance(node.layer, Combination):
        draft = drafts.get(result.base[node.inputs[0]])
        readers = readers_of.get(node.name, ())
        is_norm = isinstance(node.layer, BatchNorm | Affine)
        is_threshold = is_norm and any(isinstance(reader.layer, Sign) for reader in readers)
        if is_threshold and draft is not None and not draft.folds:
            return None
        fused = draft is not None and exclusive[node.inputs[0]] and draft.absorb(node)
        return draft if fused else None

    # The later of the two GEMMs is tried first: the other operand is ready when it runs. The
    # earlier one has to wait for that operand, so it moves behind it.
    order = {draft.lead.name: i for i, draft in enumerate(result.drafts)}
    early, late = sorted(node.inputs, key=lambda value: order.get(result.base[value], -1))
    for own, other in ((late, early), (early, late)):
        draft = drafts.get(result.base[own])
        if (
            draft is not None
            and exclusive[own]
            and draft.absorb_combination(node, other, result.shapes[other])
        ):
            if own == early:
                result.drafts.remove(draft)
                result.drafts.append(draft)
            return draft
    return None
