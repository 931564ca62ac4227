"""Networks as data: layers, graphs of them, and their lowering to a program of fused steps."""

from facegen.nn.gemm_layers import Conv2d, ConvTranspose2d, Linear
from facegen.nn.graph import Graph, Tensor
from facegen.nn.layer import Layer, Shape
from facegen.nn.layers import (
    Add,
    Affine,
    ArgMax,
    BatchNorm,
    Concat,
    GlobalAvgPool2d,
    InstanceNorm,
    LeakyReLU,
    MaxPool2d,
    ReLU,
    Reshape,
    Softmax,
    Tanh,
    Upsample,
)
from facegen.nn.lower import lower
from facegen.nn.program import Program

__all__ = [
    "Add",
    "Affine",
    "ArgMax",
    "BatchNorm",
    "Concat",
    "Conv2d",
    "ConvTranspose2d",
    "GlobalAvgPool2d",
    "Graph",
    "InstanceNorm",
    "Layer",
    "LeakyReLU",
    "Linear",
    "MaxPool2d",
    "Program",
    "ReLU",
    "Reshape",
    "Shape",
    "Softmax",
    "Tanh",
    "Tensor",
    "Upsample",
    "lower",
]
