"""The ops one by one on NumPy arrays: the engine's own kernels, for use and for tests.

Maps are float32 in NHWC order: (images, height, width, channels), any number of images, also 0.
An array that is not C-contiguous is copied first. Accuracy is the engine's "float32", or "strict"
where a GPU is given an algorithm by name (see :class:`facegen.engine.Runner`). Each call lowers a
network of one layer and packs its weights; to run the same layers again and again, build a
:class:`facegen.nn.Graph` and keep its :class:`facegen.engine.Runner`.

Every op takes these keywords:

threads : int, optional
    Threads to use; by default all processors that this process may use. More than the machine has
    processors (or 16, where there are fewer) are as many.
device : str
    "cpu", or another device as :mod:`facegen.engine.devices` names it.

and raises

TypeError
    An array is not of float32.
ValueError
    Shapes or numbers do not fit together. Or one is absurd: a kernel, stride, padding, dilation,
    height or width (padding included) or number of channels above 2**29, a window that reaches over
    more pixels, a map of more than 2**30, a transposed convolution of more than 2**16 phases
    (the product of its strides), an eps that is negative or no finite float32.
DeviceError
    The device is not there (:class:`facegen.errors.DeviceError`).
"""

from __future__ import annotations

from facegen.kernels.gemm import conv2d, conv_transpose2d, linear
from facegen.kernels.matrices import matmul
from facegen.kernels.norm import batch_norm, instance_norm
from facegen.kernels.pixelwise import argmax, leaky_relu, relu, softmax, tanh
from facegen.kernels.pool import global_avg_pool2d, max_pool2d
from facegen.kernels.upsample import upsample_bilinear2d

__all__ = [
    "argmax",
    "batch_norm",
    "conv2d",
    "conv_transpose2d",
    "global_avg_pool2d",
    "instance_norm",
    "leaky_relu",
    "linear",
    "matmul",
    "max_pool2d",
    "relu",
    "softmax",
    "tanh",
    "upsample_bilinear2d",
]
