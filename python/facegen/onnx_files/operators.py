"""The table of operators: ONNX's name, and the function that adds the layers for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from facegen.onnx_files import arithmetic, forms, windows
from facegen.onnx_files.node import Node
from facegen.onnx_files.value import Value

OPERATORS: Mapping[str, Callable[[Node], Value | np.ndarray]] = {
    "Add": arithmetic.arithmetic,
    "ArgMax": arithmetic.arg_max,
    "AveragePool": windows.average_pool,
    "BatchNormalization": arithmetic.batch_normalization,
    "Cast": forms.cast,
    "Clip": arithmetic.clip,
    "Concat": forms.concat,
    "Conv": windows.conv,
    "ConvTranspose": windows.conv_transpose,
    "Div": arithmetic.arithmetic,
    "Dropout": forms.dropout,
    "Flatten": forms.flatten,
    "Gather": forms.gather,
    "Gemm": arithmetic.gemm,
    "GlobalAveragePool": windows.global_average_pool,
    "GlobalMaxPool": windows.global_max_pool,
    "Identity": forms.identity,
    "InstanceNormalization": arithmetic.instance_normalization,
    "LeakyRelu": arithmetic.leaky_relu,
    "MatMul": arithmetic.mat_mul,
    "MaxPool": windows.max_pool,
    "Mul": arithmetic.arithmetic,
    "PRelu": arithmetic.prelu,
    "ReduceMean": windows.reduce_mean,
    "Relu": arithmetic.relu,
    "Reshape": forms.reshape,
    "Resize": windows.resize,
    "Shape": forms.shape,
    "Sigmoid": arithmetic.sigmoid,
    "Softmax": arithmetic.softmax,
    "Squeeze": forms.squeeze,
    "Sub": arithmetic.arithmetic,
    "Sum": arithmetic.total,
    "Tanh": arithmetic.tanh,
    "Transpose": forms.transpose,
    "Unsqueeze": forms.unsqueeze,
}

# What to do about some that are often met.
HINTS = {
    "If": "export the network without control flow",
    "Loop": "export the network without control flow",
    "Scan": "export the network without control flow",
    "Pad": "pad within the convolution or pool that follows",
    "Upsample": "convert it to opset 13 and mode 'linear' with 'half_pixel'",
    "LRN": "no layer here normalises over neighbouring channels",
    "Slice": "layers here read whole maps",
    "Split": "layers here read whole maps",
}
