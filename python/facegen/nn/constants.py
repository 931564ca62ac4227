"""The numbers of a program: weights with what was folded into them, computed in float64."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from facegen.nn.gemm_layers import GemmLayer
from facegen.nn.graph import Node
from facegen.nn.layers import Affine, BatchNorm, StatisticsNorm
from facegen.nn.step_draft import StepDraft

Weights = Mapping[str, np.ndarray]

_FAR = 1e38  # beyond all sums


# What is too large, or a variance of 0, makes infinity and NaN, as the layers one by one do.
@np.errstate(over="ignore", divide="ignore", invalid="ignore")
def draft_constants(draft: StepDraft, weights: Weights, dtype: np.dtype) -> dict[str, np.ndarray]:
    """Every constant of one step, by name, rounded once to `dtype`."""
    constants: dict[str, np.ndarray] = {}
    name, channels = draft.lead.name, draft.lead.shape.channels
    scale, shift = channel_affine(draft.folded, weights, channels)
    if draft.activation == "sign" and draft.folded:
        scale, shift = _threshold(scale, shift)

    if isinstance(draft.lead.layer, GemmLayer):
        weight = weights[f"{name}.weight"]
        if weight.ndim == 2:  # linear: a 1x1 window
            weight = weight[:, None, None, :]
        if draft.lead.layer.binary:
            weight = np.where(weight < 0, np.float32(-1), np.float32(1))
        if draft.shuffled:  # the channels are read as they were before
            shape = *weight.shape[:3], weight.shape[3] // draft.shuffled, draft.shuffled
            weight = weight.reshape(shape).swapaxes(3, 4).reshape(weight.shape)
        bias = weights[f"{name}.bias"] if draft.lead.layer.bias else np.zeros(channels)
        if draft.folded:
            weight = _scaled(weight, scale, dtype)
            bias = bias * scale + shift
        if draft.lead.layer.is_depthwise:
            constants[f"{name}.weight"] = weight[..., 0].transpose(1, 2, 0)  # (kh, kw, channels)
        else:
            constants[f"{name}.weight"] = weight  # (out, kh, kw, in)
        if draft.has_bias:
            constants[f"{name}.bias"] = bias
    elif draft.is_norm and draft.folded:  # a depthwise convolution 1x1
        constants[f"{name}.weight"] = scale[np.newaxis, np.newaxis]
        constants[f"{name}.bias"] = shift
    elif isinstance(draft.lead.layer, StatisticsNorm):
        gamma, beta = weights[f"{name}.gamma"], weights[f"{name}.beta"]
        if draft.folded:
            gamma, beta = gamma * scale, beta * scale + shift
        constants[f"{name}.gamma"] = gamma
        constants[f"{name}.beta"] = beta

    if draft.prelu:
        constants[f"{draft.prelu}.slope"] = weights[f"{draft.prelu}.slope"]
    scale, shift = channel_affine(draft.scaled, weights, channels)
    if draft.has_scale:
        constants[f"{name}.scale"] = scale
    if draft.has_shift:
        constants[f"{name}.shift"] = shift
    if isinstance(draft.lead.layer, GemmLayer) and draft.is_split:
        constants = _constants_of_parts(constants, draft.lead.layer, f"{name}.weight")
    if draft.blocks:  # (channel, place in a block) become (place, channel)
        area = draft.blocks**2
        order = np.arange(channels).reshape(channels // area, area).T.ravel()
        constants = {key: value[order] for key, value in constants.items()}
    # "A": not at any byte, as views of other memory may be.
    return {key: np.require(value, dtype, ["C", "A", "E"]) for key, value in constants.items()}


def _threshold(scale: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Another scale and shift before a sign, which is the same with both divided by |scale|.

    The scale is then 1 or -1, and whether ``x + shift`` is negative is found without error:
    rounding never changes the sign of a sum. So engines that round differently agree.
    """
    constant = np.where(shift < 0, -_FAR, _FAR)  # whatever x is
    signs = np.where(scale < 0, -1.0, 1.0)
    return signs, np.where(scale == 0, constant, shift / np.abs(scale))


def _scaled(weight: np.ndarray, scale: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Filters times a number each: in float64, a few at a time, rounded as they are made."""
    scaled = np.empty(weight.shape, dtype)
    factors = scale[:, None, None, None]
    np.multiply(weight, factors, out=scaled, dtype=np.float64, casting="same_kind")
    return scaled


def _constants_of_parts(
    constants: Mapping[str, np.ndarray], layer: GemmLayer, weight_name: str
) -> dict[str, np.ndarray]:
    """Each constant cut by output channels; weights of joined groups are block-diagonal."""
    result: dict[str, np.ndarray] = {}
    for number, part in enumerate(layer.parts):
        last_out = part.first_out + part.out_channels
        for name, whole in constants.items():
            own = whole[part.first_out : last_out]
            if name == weight_name:
                outs, ins = part.out_channels // part.groups, part.in_channels // part.groups
                grouped, own = own, np.zeros((*own.shape[:3], part.in_channels), own.dtype)
                for g in range(part.groups):
                    rows = slice(g * outs, (g + 1) * outs)
                    own[rows, ..., g * ins : (g + 1) * ins] = grouped[rows]
            result[f"{name}[{number}]"] = own
    return result


def channel_affine(
    nodes: Sequence[Node], weights: Weights, channels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Batch norms and Affines, one after another, as ``scale * x + shift``: float64 (channels,).

    A norm over fewer channels (it sees the value through a Reshape) repeats along them.
    """
    scale, shift = np.ones(channels), np.zeros(channels)
    for node in nodes:
        if isinstance(node.layer, BatchNorm):
            gamma, beta, mean, var = (
                np.asarray(weights[f"{node.name}.{parameter}"], np.float64)
                for parameter in ("gamma", "beta", "mean", "var")
            )
            node_scale = gamma / np.sqrt(var + node.layer.eps)
            node_shift = beta - mean * node_scale
            repeats = channels // node_scale.size
            node_scale, node_shift = np.tile(node_scale, repeats), np.tile(node_shift, repeats)
        else:
            assert isinstance(node.layer, Affine)
            node_scale = np.full(channels, node.layer.scale)
            node_shift = np.full(channels, node.layer.shift)
        scale, shift = node_scale * scale, node_scale * shift + node_shift
    return scale, shift
