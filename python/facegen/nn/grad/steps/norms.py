"""Norms in training."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BatchNorm:
    """``y = activation(gamma * (x - mean) / sqrt(var + eps) + beta)``.

    Mean and biased variance are those of the batch, or the `stored` ones. ``statistics`` holds, by
    channels, the mean, ``1 / sqrt(var + eps)`` and the variance.
    """

    name: str
    x: str
    y: str
    gamma: str
    beta: str
    mean: str
    var: str
    statistics: str
    eps: float
    stored: bool = False
    activation: str = "none"
    numbers: tuple[float, float] = (0.0, 0.0)  # of the activation


@dataclass(frozen=True)
class BatchNormGradient:
    """Backward of BatchNorm; `dx` is None where nothing needs it.

    With g = dy * activation' and h = (x - mean) / sqrt(var + eps) over the N pixels of the batch:
    beta's gradient is sum g, gamma's sum g h, and
    ``dx = gamma / sqrt(var + eps) * (g - sum g / N - h * sum g h / N)``, without the sums where the
    statistics are stored ones.
    """

    name: str
    x: str
    y: str
    dy: str
    dx: str | None
    gamma: str
    beta: str
    statistics: str
    stored: bool = False
    trained: bool = True
    activation: str = "none"
    numbers: tuple[float, float] = (0.0, 0.0)  # of the activation
    accumulate: bool = False


@dataclass(frozen=True)
class InstanceNorm:
    """BatchNorm with the mean and variance of each image; `statistics` is a value (1, 1, 2 c).

    Of some channels together where there are fewer `groups` than channels.
    """

    name: str
    x: str
    y: str
    gamma: str
    beta: str
    statistics: str
    eps: float
    groups: int
    activation: str = "none"
    numbers: tuple[float, float] = (0.0, 0.0)  # of the activation


@dataclass(frozen=True)
class InstanceNormGradient:
    """Backward of InstanceNorm: BatchNormGradient's formula, N the pixels of an image.

    Of groups, with gamma g in place of g, and N the numbers of a group.
    """

    name: str
    x: str
    y: str
    dy: str
    dx: str | None
    gamma: str
    beta: str
    statistics: str
    groups: int
    trained: bool = True
    activation: str = "none"
    numbers: tuple[float, float] = (0.0, 0.0)  # of the activation
    accumulate: bool = False


@dataclass(frozen=True)
class LayerNorm:
    """``gamma * (x - mean) / sqrt(var + eps) + beta`` of each pixel over its channels.

    `statistics`: a value (h, w, 2), the mean and ``1 / sqrt(var + eps)`` of each pixel.
    """

    name: str
    x: str
    y: str
    gamma: str
    beta: str
    statistics: str
    eps: float


@dataclass(frozen=True)
class LayerNormGradient:
    """Backward of LayerNorm.

    With h = (x - mean) / sqrt(var + eps) and m the mean over channels, ``dx (+)= (gamma dy -
    m(gamma dy) - h m(gamma dy h)) / sqrt(var + eps)``.
    """

    name: str
    x: str
    dy: str
    dx: str | None
    gamma: str
    beta: str
    statistics: str
    trained: bool = True
    accumulate: bool = False


@dataclass(frozen=True)
class UpdateStatistics:
    """A BatchNorm's stored mean and variance move towards the batch's (unbiased, as PyTorch's)."""

    name: str
    x: str  # for its number of pixels
    mean: str
    var: str
    statistics: str
    momentum: float
