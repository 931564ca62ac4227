"""Glasses: two frames of one of many shapes, a bridge, temples, and a streak of glare."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facegen.train.faces.synthetic.draws import Draws
from facegen.train.faces.synthetic.fields import Array, bump, mix, palette, smoothstep
from facegen.train.faces.synthetic.form import Form
from facegen.train.faces.synthetic.head import Surface
from facegen.train.faces.synthetic.traits import Traits

_FRAMES = palette("#1d1a1c", "#1d1a1c", "#4a2a1c", "#7a4626", "#7d2a2f", "#24405c", "#8f6c3a")


@dataclass(frozen=True)
class Glasses:
    """Every field is (n, 1, 1, 1); the colour (n, 3, 1, 1)."""

    worn: Array
    width: Array
    height: Array
    roundness: Array
    """1 a circle .. 0.4 a rectangle with round corners."""
    rise: Array
    """How much higher the outer ends are: 0 .. a cat's eyes."""
    rim: Array
    tint: Array
    glare: Array
    colour: Array

    @classmethod
    def draw(cls, draws: Draws, traits: Traits) -> Glasses:
        circle = draws.chance(0.4)
        return cls(
            worn=draws.chance(0.16 + 0.16 * traits.age),
            width=mix(draws.normal(0.196, 0.008), draws.normal(0.182, 0.006), circle),
            height=mix(draws.normal(0.142, 0.010), draws.normal(0.176, 0.006), circle),
            roundness=mix(draws.uniform(0.45, 0.8), 1.0, circle),
            rise=draws.chance(0.5 * (1 - traits.male)) * draws.uniform(0.05, 0.2) * (1 - circle),
            rim=draws.uniform(0.015, 0.024),
            tint=draws.chance(0.08) * draws.uniform(0.6, 0.95),
            glare=draws.uniform(0.02, 0.10),
            colour=draws.one_of(_FRAMES),
        )


def paint_glasses(radiance: Array, glasses: Glasses, form: Form, at: Surface) -> Array:
    """Lay glasses over the lit face; they stand off it, so a turned head shows them to the side."""
    u, v = at.u - 0.05 * at.sin_yaw, at.v - 0.012
    x = np.abs(u) - form.eye - 0.006
    v = v + glasses.rise * (x + 0.06)
    corner = glasses.roundness * np.minimum(glasses.height, glasses.width)
    dx = np.maximum(np.abs(x) - glasses.width + corner, 0.0)
    dy = np.maximum(np.abs(v) - glasses.height + corner, 0.0)
    outside = np.sqrt(dx * dx + dy * dy) - corner
    near = glasses.worn * smoothstep(-0.3, 0.1, at.front) * (at.distance < 0.03)
    lens = smoothstep(0.01, -0.01, outside) * near
    radiance = radiance * (1.0 - lens * (0.04 + 0.75 * glasses.tint))
    streak = bump((v + 0.8 * x + 0.06) / 0.04)
    radiance = radiance + lens * glasses.glare * (0.3 + streak)
    rim = bump(outside / glasses.rim)
    half = form.eye + 0.006 - glasses.width
    bridge = bump((v + 0.035 + 0.8 * u * u) / (glasses.rim * 1.1)) * (np.abs(u) < half)
    temple = bump((v + 0.05) / (glasses.rim * 1.1)) * smoothstep(0.0, 0.02, x - glasses.width)
    frame = np.minimum(np.maximum(np.maximum(rim, bridge), temple) * 1.3, 1.0) * near
    return mix(radiance, glasses.colour * 0.9, frame * 0.96)
