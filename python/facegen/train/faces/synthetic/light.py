"""Light: a key lamp, the sky's and the room's, and a soft answer of skin to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facegen.train.faces.synthetic.draws import Draws
from facegen.train.faces.synthetic.fields import Array, colour


@dataclass(frozen=True)
class Light:
    """(n, 1, 1, 1) each; colours (n, 3, 1, 1). ``x``, ``y``, ``z`` point to the lamp, y down."""

    x: Array
    y: Array
    z: Array
    key: Array
    sky: Array
    softness: Array
    contrast: Array

    @classmethod
    def draw(cls, draws: Draws) -> Light:
        azimuth, height = draws.normal(0, 0.65), draws.normal(0.55, 0.18)
        contrast = draws.uniform(0.35, 0.75)
        warmth = draws.normal(0.05, 0.08)
        key = 1.0 + colour(0.9, 0.1, -1.0) * warmth
        sky = 1.0 - colour(0.8, 0.0, -0.9) * (warmth * 0.8 + draws.normal(0, 0.03))
        return cls(
            x=np.sin(azimuth) * np.cos(height),
            y=-np.sin(height),
            z=np.cos(azimuth) * np.cos(height),
            key=key * (0.45 + 0.75 * contrast),
            sky=sky * (0.86 - 0.55 * contrast),
            softness=draws.uniform(0.15, 0.5),
            contrast=contrast,
        )


@dataclass(frozen=True)
class Normals:
    """Unit vectors out of a surface; y down, z to the viewer."""

    x: Array
    y: Array
    z: Array


def normals(x: Array, y: Array, z: Array) -> Normals:
    """Scale to unit length."""
    scale = 1.0 / np.sqrt(x * x + y * y + z * z + 1e-6)
    return Normals(x * scale, y * scale, z * scale)


def diffuse(light: Light, n: Normals, scatter: Array, shadow: Array | float) -> Array:
    """Light that a matt surface gives back, per unit of albedo.

    Parameters
    ----------
    scatter
        How far light creeps into the shade, a colour: red goes furthest in skin.
    shadow
        1 where the key lamp is hidden.
    """
    cosine = n.x * light.x + n.y * light.y + n.z * light.z
    wrap = light.softness + scatter
    lit = np.maximum((cosine + wrap) / (1.0 + wrap), 0.0)
    overhead = 0.62 - 0.38 * n.y
    return light.key * lit * (1.0 - shadow) + light.sky * overhead


def gloss(light: Light, n: Normals, sharpness: float) -> Array:
    """Blinn's highlight, 0..1."""
    x, y, z = light.x, light.y, light.z + 1.0
    scale = 1.0 / np.sqrt(x * x + y * y + z * z)
    cosine = np.maximum((n.x * x + n.y * y + n.z * z) * scale, 0.0)
    return np.exp(sharpness * (cosine - 1.0))
