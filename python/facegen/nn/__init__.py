"""Networks as data: layers, graphs of them, and their lowering to a program of fused steps."""

from facegen.nn.graph import Graph, Tensor
from facegen.nn.layers import (
    Add,
    Affine,
    ArgMax,
    BatchNorm,
    Concat,
    Conv2d,
    ConvTranspose2d,
    GlobalAvgPool2d,
    InstanceNorm,
    Layer,
    LeakyReLU,
    Linear,
    MaxPool2d,
    ReLU,
    Reshape,
    Shape,
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
