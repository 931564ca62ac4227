"""Activations, two maps number by number, and what is over the channels of a pixel."""

from __future__ import annotations

import math

import numpy as np

from bench.reference.parts import Array, Doubles
from facegen.nn import (
    ELU,
    GELU,
    Abs,
    Add,
    Clip,
    Div,
    Exp,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    Log,
    Maximum,
    Minimum,
    Mish,
    Mul,
    Reciprocal,
    ReLU,
    Sigmoid,
    Sign,
    SiLU,
    Softplus,
    Sqrt,
    Sub,
    Tanh,
)
from facegen.nn.activations import Activation
from facegen.nn.layers import Combination


def relu(x: Array) -> Doubles:
    return np.maximum(x.astype(np.float64), 0)


def leaky_relu(x: Array, slope: float) -> Doubles:
    x = x.astype(np.float64)
    return np.where(x > 0, x, slope * x)


def prelu(x: Array, slope: Array) -> Doubles:
    x = x.astype(np.float64)
    return np.where(x > 0, x, slope.astype(np.float64) * x)


def sigmoid(x: Array) -> Doubles:
    return 1 / (1 + np.exp(-x.astype(np.float64)))


def softplus(x: Array) -> Doubles:
    return np.logaddexp(0, x.astype(np.float64))


erf = np.vectorize(math.erf, otypes=[np.float64])


def activation(layer: Activation, x: Array) -> Doubles:
    """An activation without parameters."""
    x = x.astype(np.float64)
    match layer:
        case ReLU():
            return relu(x)
        case LeakyReLU():
            return leaky_relu(x, layer.slope)
        case Clip():
            return np.clip(x, layer.low, layer.high)
        case ELU():
            return layer.scale * np.where(x > 0, x, layer.alpha * np.expm1(np.minimum(x, 0)))
        case Sigmoid():
            return sigmoid(x)
        case HardSwish():
            return x * np.clip(layer.alpha * x + layer.beta, 0, 1)
        case HardSigmoid():
            return np.clip(layer.alpha * x + layer.beta, 0, 1)
        case SiLU():
            return x * sigmoid(layer.alpha * x)
        case Tanh():
            return np.tanh(x)
        case GELU(tanh=True):
            return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
        case GELU():
            return x / 2 * (1 + erf(x / np.sqrt(2)))
        case Mish():
            return x * np.tanh(softplus(x))
        case Softplus():
            return softplus(x)
        case Exp():
            return np.exp(x)
        case Log():
            return np.log(x)
        case Abs():
            return np.abs(x)
        case Sqrt():
            return np.sqrt(x)
        case Reciprocal():
            return 1 / x
        case Sign():
            return np.where(x < 0, -1.0, np.where(x >= 0, 1.0, x))
    raise AssertionError(f"no definition of {layer}")


def combine(layer: Combination, a: Array, b: Array) -> Doubles:
    """Two maps, of which one may have one pixel or one channel."""
    operations = {
        Add: np.add,
        Sub: np.subtract,
        Mul: np.multiply,
        Div: np.divide,
        Maximum: np.maximum,
        Minimum: np.minimum,
    }
    y: Doubles = operations[type(layer)](a.astype(np.float64), b.astype(np.float64))
    return y


def softmax(x: Array) -> Doubles:
    x = x.astype(np.float64)
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def log_softmax(x: Array) -> Doubles:
    x = x.astype(np.float64)
    x = x - x.max(axis=-1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=-1, keepdims=True))


def argmax(x: Array) -> Doubles:
    return x.argmax(axis=-1)[..., np.newaxis].astype(np.float64)
