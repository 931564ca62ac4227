"""The mouth: lips as bands about a curved line, which parts over teeth when it laughs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facegen.train.faces.synthetic.draws import Draws
from facegen.train.faces.synthetic.fields import Array, bump, colour, mix, smoothstep
from facegen.train.faces.synthetic.form import Form
from facegen.train.faces.synthetic.head import Surface
from facegen.train.faces.synthetic.traits import Traits


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
        fullness = draws.normal(1.0, 0.14) + 0.22 * traits.melanin - 0.22 * male - 0.2 * age
        laugh = smoothstep(0.35, 0.8, smile + draws.normal(0, 0.22))
        painted = draws.chance(0.45 * smoothstep(0.45, 0.2, male)) * draws.uniform(0.2, 0.85)
        shade = draws.uniform()
        return cls(
            width=draws.normal(0.178, 0.012) + 0.052 * smile,
            upper=0.056 * fullness * (1 - 0.15 * laugh),
            lower=0.072 * fullness * (1 - 0.15 * laugh),
            opening=0.048 * laugh * draws.uniform(0.5, 1.2) + 0.006 * draws.uniform(),
            bow=draws.uniform(0.1, 0.35),
            skew=draws.normal(0, 0.006),
            red=draws.normal(1.6, 0.25) - 0.75 * male - 0.3 * age,
            lipstick=painted,
            lipstick_colour=mix(colour(0.45, 0.03, 0.05), colour(0.50, 0.16, 0.16), shade),
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
    middle = form.mouth + (0.05 * form.smile) * (0.45 - cc) + mouth.skew * across
    y = at.v - middle
    gap_up = 0.45 * mouth.opening * arch
    gap_down = 0.9 * mouth.opening * arch
    bow = 1.0 - mouth.bow * bump(across / 0.16) + 0.25 * bump((np.abs(across) - 0.25) / 0.2)
    top = -(mouth.upper * arch * bow + gap_up)
    bottom = mouth.lower * root * (0.4 + 0.6 * arch) + gap_down
    body = smoothstep(top - soft, top + soft, y) * smoothstep(bottom + soft, bottom - soft, y)
    body = body * smoothstep(1.02, 0.9, np.abs(across))
    inside = smoothstep(-gap_up - soft, -gap_up + soft, y)
    inside = inside * smoothstep(gap_down + soft, gap_down - soft, y)
    inside = inside * smoothstep(0.004, 0.016, mouth.opening * arch)
    biting = gap_down * 0.85
    teeth = inside * smoothstep(biting + soft, biting - soft, y) * smoothstep(0.95, 0.3, cc)
    line = bump(y / 0.012) * smoothstep(1.12, 0.95, np.abs(across)) * (1.0 - inside)
    rolls = bump((y - top * 0.5) / 0.03) * 0.8 + bump((y - bottom * 0.55 - gap_down * 0.4) / 0.035)
    height = (0.009 * rolls - 0.008 * line) * smoothstep(1.0, 0.5, cc)
    return Lips(body * (1.0 - inside), inside, teeth, line, height)


def paint_mouth(albedo: Array, mouth: Mouth, shape: Lips) -> Array:
    """Lipstick, teeth and the dark behind them, over skin that already has the lips' red."""
    albedo = mix(albedo, mouth.lipstick_colour, shape.lips * mouth.lipstick * 0.7)
    albedo = albedo * (1.0 - 0.55 * shape.line)
    albedo = mix(albedo, colour(0.07, 0.018, 0.015), shape.inside)
    return mix(albedo, colour(0.52, 0.46, 0.39), shape.teeth * 0.88)
