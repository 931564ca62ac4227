"""Glasses: two rounded frames, a bridge, temples, and a little glare."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facegen.train.faces.synthetic.draws import Draws
from facegen.train.faces.synthetic.fields import Array, bump, colour, mix, smoothstep
from facegen.train.faces.synthetic.form import Form
from facegen.train.faces.synthetic.head import Surface
from facegen.train.faces.synthetic.traits import Traits


@dataclass(frozen=True)
class Glasses:
    """Every field is (n, 1, 1, 1); the colour (n, 3, 1, 1)."""

    worn: Array
    width: Array
    height: Array
    roundness: Array
    rim: Array
    tint: Array
    glare: Array
    colour: Array

    @classmethod
    def draw(cls, draws: Draws, traits: Traits) -> Glasses:
        dark = mix(colour(0.015, 0.012, 0.012), colour(0.12, 0.05, 0.025), draws.uniform() ** 2)
        metal = mix(colour(0.35, 0.33, 0.30), colour(0.40, 0.27, 0.12), draws.uniform())
        return cls(
            worn=draws.chance(0.10 + 0.15 * traits.age),
            width=draws.normal(0.185, 0.010),
            height=draws.normal(0.125, 0.016),
            roundness=draws.uniform(0.4, 1.0),
            rim=draws.uniform(0.009, 0.021),
            tint=draws.chance(0.12) * draws.uniform(0.3, 0.9),
            glare=draws.uniform(0.0, 0.10),
            colour=mix(dark, metal, draws.chance(0.3)),
        )


def paint_glasses(radiance: Array, glasses: Glasses, form: Form, at: Surface) -> Array:
    """Lay glasses over the lit face; they stand off it, so a turned head shows them to the side."""
    u, v = at.u - 0.05 * at.sin_yaw, at.v - 0.02
    x = np.abs(u) - form.eye - 0.005
    corner = glasses.roundness * glasses.height
    dx = np.maximum(np.abs(x) - glasses.width + corner, 0.0)
    dy = np.maximum(np.abs(v) - glasses.height + corner, 0.0)
    outside = np.sqrt(dx * dx + dy * dy) - corner
    near = glasses.worn * smoothstep(-0.3, 0.1, at.front) * (at.distance < 0.03)
    lens = smoothstep(0.01, -0.01, outside) * near
    radiance = radiance * (1.0 - lens * (0.06 + 0.85 * glasses.tint))
    band = bump((v + 0.5 * x + 0.02) / 0.05)
    radiance = radiance + lens * glasses.glare * (0.25 + band)
    rim = bump(outside / glasses.rim)
    bridge = bump((v + 0.03 + 0.3 * u * u) / (glasses.rim * 1.1)) * (np.abs(u) < form.eye - 0.15)
    temple = bump((v + 0.05) / (glasses.rim * 1.1)) * smoothstep(0.0, 0.02, x - glasses.width)
    frame = np.minimum(np.maximum(np.maximum(rim, bridge), temple) * 1.15, 1.0) * near
    return mix(radiance, glasses.colour * 0.8, frame * 0.92)
