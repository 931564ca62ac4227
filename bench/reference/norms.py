"""Norms: with stored statistics, or with those of an image, a group or a pixel."""

from __future__ import annotations

import numpy as np

from bench.reference.parts import Array, Doubles


def batch_norm(
    x: Array, gamma: Array, beta: Array, mean: Array, var: Array, *, eps: float = 1e-5
) -> Doubles:
    gamma, beta, mean, var = (a.astype(np.float64) for a in (gamma, beta, mean, var))
    return gamma * (x.astype(np.float64) - mean) / np.sqrt(var + eps) + beta


def instance_norm(x: Array, gamma: Array, beta: Array, *, eps: float = 1e-5) -> Doubles:
    x = x.astype(np.float64)
    mean = x.mean(axis=(1, 2), keepdims=True)
    var = ((x - mean) ** 2).mean(axis=(1, 2), keepdims=True)
    return gamma.astype(np.float64) * (x - mean) / np.sqrt(var + eps) + beta.astype(np.float64)


def group_norm(x: Array, gamma: Array, beta: Array, *, groups: int, eps: float = 1e-5) -> Doubles:
    n, h, w, c = x.shape
    grouped = x.astype(np.float64).reshape(n, h, w, groups, c // groups)
    mean = grouped.mean(axis=(1, 2, 4), keepdims=True)
    var = ((grouped - mean) ** 2).mean(axis=(1, 2, 4), keepdims=True)
    normed = ((grouped - mean) / np.sqrt(var + eps)).reshape(x.shape)
    return gamma.astype(np.float64) * normed + beta.astype(np.float64)


def layer_norm(x: Array, gamma: Array, beta: Array, *, eps: float = 1e-5) -> Doubles:
    x = x.astype(np.float64)
    mean = x.mean(axis=3, keepdims=True)
    var = ((x - mean) ** 2).mean(axis=3, keepdims=True)
    return gamma.astype(np.float64) * (x - mean) / np.sqrt(var + eps) + beta.astype(np.float64)


def local_response_norm(x: Array, *, size: int, alpha: float, beta: float, k: float) -> Doubles:
    x = x.astype(np.float64)
    sums = np.zeros_like(x)
    for c in range(x.shape[3]):
        around = x[..., max(c - (size - 1) // 2, 0) : c + size // 2 + 1]
        sums[..., c] = (around**2).sum(axis=3)
    return x / (k + alpha / size * sums) ** beta
