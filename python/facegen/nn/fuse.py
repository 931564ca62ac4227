"""Layers to drafts: each draft is one step to be, led by one layer, with others fused into it.

Per-channel affine layers (batch norm, Affine) that directly follow a convolution, linear layer or
instance norm are folded into its weights. After an activation they become the scale and shift of
the epilogue: exact at the borders, at one fused multiply-add an output. (Folding them into the
next convolution would need other constants wherever its window reaches over the border.)
Activations and combinations of two maps become parts of the epilogue. Nothing is fused into a
value that somebody else reads as well.

Operands are still named values here; ``placement.py`` gives them places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from facegen.nn.activations import Activation, PReLU
from facegen.nn.gemm_layers import GemmLayer
from facegen.nn.graph import Node
from facegen.nn.layer import Shape
from facegen.nn.layers import (
    Affine,
    ArgMax,
    BatchNorm,
    Blocks,
    Channels,
    ChannelShuffle,
    Combination,
    Concat,
    DepthToSpace,
    GlobalAvgPool2d,
    LogSoftmax,
    Reshape,
    Softmax,
    StatisticsNorm,
)
from facegen.nn.rewrite import count_readers

POINTWISE = (Activation, BatchNorm, Affine, Combination)
WITHOUT_EPILOGUE = (Softmax, LogSoftmax, ArgMax, GlobalAvgPool2d, Concat, ChannelShuffle, Blocks)


@dataclass
class StepDraft:
    """A step whose operands have no places yet.

    It computes ``scale * activation(lead) + shift`` where lead has `folded` in its weights and
    scale and shift stand for `scaled`, applied one after another. The other operand of a
    combination joins before the activation or, `after_activation`, behind it.
    """

    lead: Node  # its name also names the output value; a layer of None copies
    inputs: tuple[str, ...]
    fused: list[str]  # names of all layers in it
    folded: list[Node] = field(default_factory=list)
    other: str | None = None
    combine: str = "add"
    after_activation: bool = False
    activation: str = "none"
    numbers: tuple[float, float] = (0.0, 0.0)
    prelu: str | None = None  # the layer that has the slopes
    scaled: list[Node] = field(default_factory=list)
    shuffled: int = 0  # groups of a shuffle of channels before it, which is in its weights
    blocks: int = 0  # side of blocks of pixels whose channels it makes one pixel after another

    @property
    def name(self) -> str:
        return "+".join(self.fused)

    @property
    def reads(self) -> tuple[str, ...]:
        return self.inputs if self.other is None else (*self.inputs, self.other)

    @property
    def has_scale(self) -> bool:
        return any(not isinstance(n.layer, Affine) or n.layer.scale != 1 for n in self.scaled)

    @property
    def has_shift(self) -> bool:
        return any(not isinstance(n.layer, Affine) or n.layer.shift != 0 for n in self.scaled)

    @property
    def is_split(self) -> bool:
        """Whether it becomes several steps, each of some groups of channels."""
        layer = self.lead.layer
        return isinstance(layer, GemmLayer) and layer.groups > 1 and not layer.is_depthwise

    @property
    def has_bias(self) -> bool:
        """Whether the GEMM that this draft becomes adds a bias."""
        assert isinstance(self.lead.layer, GemmLayer)
        return self.lead.layer.bias or bool(self.folded)

    def absorb(self, node: Node) -> bool:
        """Fuse a one-input pointwise `node` that alone reads this draft, if it can be done."""
        if isinstance(self.lead.layer, WITHOUT_EPILOGUE):
            return False
        if isinstance(node.layer, BatchNorm | Affine):
            # Under a Reshape one channel of the lead must meet one channel of the norm.
            if isinstance(node.layer, BatchNorm) and (
                self.lead.shape.channels % node.shape.channels
            ):
                return False
            has_weights = isinstance(self.lead.layer, GemmLayer | StatisticsNorm)
            untouched = self.other is None and self.activation == "none"
            (self.folded if has_weights and untouched else self.scaled).append(node)
        else:
            if not isinstance(node.layer, Activation):
                return False
            if self.activation != "none" or self.scaled or self.after_activation:
                return False
            if isinstance(node.layer, PReLU):
                if self.lead.shape.channels != node.shape.channels:
                    return False
                self.prelu = node.name
            self.activation, self.numbers = node.layer.kind, node.layer.numbers
        self.fused.append(node.name)
        return True

    def absorb_combination(self, node: Node, other: str, other_shape: Shape) -> bool:
        """Fuse the combination with `other` into a GEMM that makes the one operand."""
        assert isinstance(node.layer, Combination)
        if (
            not isinstance(self.lead.layer, GemmLayer)
            or not self.lead.shape == other_shape == node.shape
            or self.other is not None
            or self.scaled
        ):
            return False
        self.other, self.combine = other, node.layer.kind
        self.after_activation = self.activation != "none"
        self.fused.append(node.name)
        return True


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

        draft = _fuse_into_producer(node, result, drafts, exclusive)
        if draft is None:
            draft = _draft(node, result.shapes)
            _take_shuffle(draft, result, drafts, exclusive)
            _order_for_blocks(draft, result, drafts, exclusive)
            drafts[node.name] = draft
            result.drafts.append(draft)
        result.base[node.name] = draft.lead.name
    return result


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
    node: Node, result: Fused, drafts: dict[str, StepDraft], exclusive: dict[str, bool]
) -> StepDraft | None:
    """The draft that `node` was fused into, or None."""
    if not isinstance(node.layer, POINTWISE):
        return None
    if not isinstance(node.layer, Combination):
        draft = drafts.get(result.base[node.inputs[0]])
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
