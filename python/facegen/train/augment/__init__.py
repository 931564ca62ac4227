"""Data augmentation: batches of pictures changed at random, for any task.

Pictures are float32 arrays (n, h, w, 3) with values in -1 to 1. Each kind is a plain function of
the pictures and of how much each of them is changed; `Augmentation` draws the amounts. Gradients go
back through all of it (`Change.adjoint`), so that a discriminator may see augmented pictures only
and the generator still learns (Zhao et al. 2020, "Differentiable augmentation").
"""

from facegen.train.augment.change import Change
from facegen.train.augment.colour import (
    brightness,
    colour_axes,
    contrast,
    hue,
    pca_jitter,
    saturation,
)
from facegen.train.augment.crops import average_over_crops, multi_crop, random_resized_crop
from facegen.train.augment.cutout import cutout
from facegen.train.augment.draws import generators
from facegen.train.augment.geometry import (
    horizontal_flip,
    rotation,
    scaling,
    shear,
    stretch,
    translation,
    warp,
    warp_adjoint,
)
from facegen.train.augment.policy import NONE, SMALL_SET, Augmentation

__all__ = [
    "NONE",
    "SMALL_SET",
    "Augmentation",
    "Change",
    "average_over_crops",
    "brightness",
    "colour_axes",
    "contrast",
    "cutout",
    "generators",
    "horizontal_flip",
    "hue",
    "multi_crop",
    "pca_jitter",
    "random_resized_crop",
    "rotation",
    "saturation",
    "scaling",
    "shear",
    "stretch",
    "translation",
    "warp",
    "warp_adjoint",
]
