"""The mouth: lips as bands about a curved line, which parts over teeth when it laughs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facegen.train.faces.synthetic.draws import Draws
from facegen.train.faces.synthetic.fields import Array, bump, colour, mix, palette, smoothstep
from facegen.train.faces.synthetic.form import Form
from facegen.train.faces.synthetic.head import Surface
from facegen.train.faces.synthetic.traits import Traits

_LIPSTICKS = palette("#b3282f", "#c2404a", "#a83a56", "#d0705f", "#8c2f3a")


@dataclass(frozen=True)
class Mouth:
    """Every field is (n, 1, 1, 1); the lipstick's colour (n, 3, 1, 1)."""

    width: Array
    upper: Array
    lower: Array
    opening: Array
    bow: Array
    skew: Array
    red: Array
    lipstick: Array
    lipstick_colour: Array

    @classmethod
    def draw(cls, draws: Draws, traits: Traits, form: Form) -> Mouth:
        male, age, smile = traits.male, traits.age, form.smile
        fullness = draws.normal(1.0, 0.12) + 0.18 * traits.melanin - 0.22 * male - 0.15 * age
        laugh = smoothstep(0.5, 0.85, smile + draws.normal(0, 0.12))
        painted = draws.chance(0.5 * smoothstep(0.45, 0.2, male)) * draws.uniform(0.3, 0.9)
        return cls(
            width=draws.normal(0.168, 0.012) + 0.06 * smile,
            upper=0.052 * fullness * (1 - 0.25 * laugh),
            lower=0.068 * fullness * (1 - 0.15 * laugh),
            opening=0.095 * laugh * draws.uniform(0.65, 1.1),
            bow=draws.uniform(0.1, 0.3),
            skew=draws.normal(0, 0.005),
            red=draws.normal(1.6, 0.2) - 0.7 * male - 0.2 * age,
            lipstick=painted,
            lipstick_colour=draws.one_of(_LIPSTICKS),
        )


@dataclass(frozen=True)
class Lips:
    """Every field is (n, 1, size, size)."""

    lips: Array
    inside: Array
    teeth: Array
    line: Array
    height: Array
    """What the lips add to the face's relief."""


def lips(mouth: Mouth, form: Form, at: Surface, soft: float) -> Lips:
    """``soft`` is the width of an edge, about a pixel."""
    across = at.u / mouth.width
    cc = across * across
    arch = np.maximum(1.0 - cc, 0.0)
    root = np.sqrt(arch)
    # A smile lifts the corners; a laugh lets the jaw down.
    middle = form.mouth + 0.075 * form.smile * (0.45 - cc) + mouth.skew * across
    y = at.v - middle
    gap_up = 0.10 * mouth.opening * root
    gap_down = mouth.opening * root * (0.3 + 0.7 * arch)
    bow = 1.0 - mouth.bow * bump(across / 0.16) + 0.25 * bump((np.abs(across) - 0.25) / 0.2)
    top = -(mouth.upper * arch * bow + gap_up)
    bottom = mouth.lower * root * (0.4 + 0.6 * arch) + gap_down
    body = smoothstep(top - soft, top + soft, y) * smoothstep(bottom + soft, bottom - soft, y)
    body = body * smoothstep(1.02, 0.9, np.abs(across))
    inside = smoothstep(-gap_up - soft, -gap_up + soft, y)
    inside = inside * smoothstep(gap_down + soft, gap_down - soft, y)
    inside = inside * smoothstep(0.004, 0.02, gap_down)
    biting = np.minimum(0.055 * root, gap_down)
    teeth = inside * smoothstep(biting + soft, biting - soft, y) * smoothstep(1.0, 0.8, cc)
    # Closed lips meet in a line, which runs past them into the corners of a smile.
    line = bump(y / 0.0125) * smoothstep(1.16, 1.0, np.abs(across)) * (1.0 - inside)
    line = line * smoothstep(0.03, 0.0, gap_down)
    rolls = bump((y - top * 0.5) / 0.03) * 0.6
    rolls = rolls + bump((y - 0.5 * bottom - 0.5 * gap_down) / 0.032)
    height = (0.009 * rolls - 0.008 * line) * smoothstep(1.0, 0.5, cc)
    return Lips(body * (1.0 - inside), inside, teeth, line, height)


def paint_mouth(albedo: Array, mouth: Mouth, shape: Lips) -> Array:
    """Lipstick, teeth and the dark behind them, over skin that already has the lips' red."""
    albedo = mix(albedo, mouth.lipstick_colour, shape.lips * mouth.lipstick * 0.75)
    albedo = albedo * (1.0 - 0.62 * shape.line)
    albedo = mix(albedo, colour(0.11, 0.022, 0.022), shape.inside)
    return mix(albedo, colour(0.80, 0.76, 0.71), shape.teeth * 0.95)
