"""Beards from a day's stubble to full, moustaches with or without."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facegen.train.faces.synthetic.draws import Draws
from facegen.train.faces.synthetic.fields import Array, bump, colour, mix, smoothstep, spot
from facegen.train.faces.synthetic.form import Form
from facegen.train.faces.synthetic.head import Surface
from facegen.train.faces.synthetic.mouth import Lips
from facegen.train.faces.synthetic.traits import Traits


@dataclass(frozen=True)
class Beard:
    """Every field is (n, 1, 1, 1); the colour (n, 3, 1, 1)."""

    cheeks: Array
    """How thick along the jaw, 0..1."""
    chin: Array
    lip: Array
    length: Array
    line: Array
    """Where on the cheeks it begins."""
    colour: Array

    @classmethod
    def draw(cls, draws: Draws, traits: Traits) -> Beard:
        grows = smoothstep(0.55, 0.8, traits.male)
        thick = np.clip(draws.uniform(-0.65, 1.15), 0.0, 1.0) ** 1.3
        stubble = draws.uniform(0.02, 0.22)
        jaw = np.maximum(stubble, thick * smoothstep(0.25, 0.6, draws.uniform()))
        lip = np.maximum(stubble, np.maximum(jaw, thick * draws.uniform(0.3, 1.0)))
        return cls(
            cheeks=jaw * grows,
            chin=np.maximum(jaw, thick * smoothstep(0.3, 0.6, draws.uniform())) * grows,
            lip=lip * grows,
            length=smoothstep(0.55, 1.0, jaw) * draws.uniform(0.1, 1.0) * grows,
            line=draws.normal(0.30, 0.035),
            colour=mix(traits.hair_colour, colour(0.03, 0.018, 0.012), 0.25),
        )


def beard_cover(beard: Beard, form: Form, shape: Lips, at: Surface, strands: Array) -> Array:
    """How much hair covers the lower face, 0..1, (n, 1, size, size)."""
    u, v = at.u, at.v
    a = np.abs(u)
    # From the sideburns down along the cheek's line, then under the mouth.
    edge = beard.line + 0.16 * bump((a - 0.24) / 0.12) - 1.1 * np.maximum(a - 0.36, 0.0)
    jaw = smoothstep(-0.05, 0.09, v - edge) * smoothstep(0.10, 0.24, a + 0.5 * (v - 0.45))
    below = smoothstep(form.mouth + 0.10, form.mouth + 0.17, v)
    chin = below * smoothstep(0.34, 0.16, a)
    patch = spot(u, v - form.mouth - 0.10, 0.035, 0.05)
    drop = 0.35 * a * a
    lip = bump((v - form.mouth + 0.085 - drop) / 0.034) * smoothstep(0.27, 0.17, a)
    ends = spot(a - 0.225, v - form.mouth - 0.04, 0.035, 0.09)
    cover = np.maximum(jaw * beard.cheeks, np.maximum(chin, 0.7 * patch) * beard.chin)
    cover = np.maximum(cover, np.maximum(lip * beard.lip, ends * np.minimum(beard.lip, beard.chin)))
    cover = cover * (1.0 - shape.lips) * (1.0 - shape.inside)
    return np.clip(cover * (0.92 + 0.16 * strands), 0.0, 0.97)
