"""The table of operators: ONNX's name, and the function that adds the layers for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from facegen.onnx_files import activations, arithmetic, forms, norms, resizing, windows
from facegen.onnx_files.node import Node
from facegen.onnx_files.value import Value

OPERATORS: Mapping[str, Callable[[Node], Value | list[Value] | np.ndarray]] = {
    "Abs": activations.absolute,
    "Add": arithmetic.arithmetic,
    "ArgMax": arithmetic.arg_max,
    "AveragePool": windows.average_pool,
    "BatchNormalization": arithmetic.batch_normalization,
    "Cast": forms.cast,
    "Celu": activations.celu,
    "Clip": activations.clip,
    "Concat": forms.concat,
    "Conv": windows.conv,
    "ConvTranspose": windows.conv_transpose,
    "DepthToSpace": forms.depth_to_space,
    "Div": arithmetic.arithmetic,
    "Dropout": forms.dropout,
    "Elu": activations.elu,
    "Erf": activations.erf,
    "Exp": activations.exp,
    "Flatten": forms.flatten,
    "Gather": forms.gather,
    "Gelu": activations.gelu,
    "Gemm": arithmetic.gemm,
    "GlobalAveragePool": windows.global_average_pool,
    "GlobalMaxPool": windows.global_max_pool,
    "GroupNormalization": norms.group_normalization,
    "HardSigmoid": activations.hard_sigmoid,
    "HardSwish": activations.hard_swish,
    "Identity": forms.identity,
    "InstanceNormalization": norms.instance_normalization,
    "LRN": norms.response_normalization,
    "LayerNormalization": norms.layer_normalization,
    "LeakyRelu": activations.leaky_relu,
    "Log": activations.log,
    "LogSoftmax": arithmetic.log_softmax,
    "MatMul": arithmetic.mat_mul,
    "Max": arithmetic.several,
    "MaxPool": windows.max_pool,
    "Mean": arithmetic.mean,
    "Min": arithmetic.several,
    "Mish": activations.mish,
    "Mul": arithmetic.arithmetic,
    "Neg": arithmetic.negative,
    "PRelu": activations.prelu,
    "Pad": windows.pad,
    "Pow": arithmetic.power,
    "Reciprocal": activations.reciprocal,
    "ReduceMax": windows.reduce_max,
    "ReduceMean": windows.reduce_mean,
    "ReduceSum": windows.reduce_sum,
    "Relu": activations.relu,
    "Reshape": forms.reshape,
    "Resize": resizing.resize,
    "Selu": activations.selu,
    "Shape": forms.shape,
    "Sigmoid": activations.sigmoid,
    "Sign": activations.sign,
    "Slice": forms.slice_,
    "Softmax": arithmetic.softmax,
    "Softplus": activations.softplus,
    "Softsign": activations.softsign,
    "SpaceToDepth": forms.space_to_depth,
    "Split": forms.split,
    "Sqrt": activations.sqrt,
    "Squeeze": forms.squeeze,
    "Sub": arithmetic.arithmetic,
    "Sum": arithmetic.several,
    "Swish": activations.swish,
    "Tanh": activations.tanh,
    "Transpose": forms.transpose,
    "Unsqueeze": forms.unsqueeze,
    "Upsample": resizing.upsample,
}

# What to do about some that are often met.
HINTS = {
    "If": "export the network without control flow",
    "Loop": "export the network without control flow",
    "Scan": "export the network without control flow",
}
