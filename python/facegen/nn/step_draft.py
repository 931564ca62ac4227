"""A step that is to be: a layer, and what is fused into it."""

from __future__ import annotations

from dataclasses import dataclass, field

from facegen.nn.activations import Activation, PReLU, Sign
from facegen.nn.gemm_layers import GemmLayer
from facegen.nn.graph import Node
from facegen.nn.layer import Shape
from facegen.nn.layers import (
    Affine,
    ArgMax,
    BatchNorm,
    Blocks,
    ChannelShuffle,
    Combination,
    Concat,
    GlobalAvgPool2d,
    LogSoftmax,
    Softmax,
    StatisticsNorm,
)

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
    on_signs: bool = False  # its input is +1 and -1 alone
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
    def is_norm(self) -> bool:
        """Whether it begins with a scale and a shift of each channel."""
        return isinstance(self.lead.layer, BatchNorm | Affine)

    @property
    def is_binary(self) -> bool:
        """Whether it multiplies by the signs of its weights."""
        return isinstance(self.lead.layer, GemmLayer) and self.lead.layer.binary

    @property
    def folds(self) -> bool:
        """Whether a norm that follows can become part of its weights."""
        has_weights = isinstance(self.lead.layer, GemmLayer | StatisticsNorm)
        return has_weights and self.other is None and self.activation == "none"

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
            (self.folded if self.folds and not self.is_binary else self.scaled).append(node)
        else:
            if not isinstance(node.layer, Activation):
                return False
            # A norm before a sign is a threshold, which leaves the weights signs.
            is_threshold = self.is_binary and self.folds and isinstance(node.layer, Sign)
            if (self.is_norm and self.activation == "none") or is_threshold:
                self.folded, self.scaled = self.scaled, []
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
