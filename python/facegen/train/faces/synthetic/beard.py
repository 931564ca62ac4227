"""Beards: stubble, moustaches, goatees and full ones, each with an edge of its own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facegen.train.faces.synthetic.draws import Draws
from facegen.train.faces.synthetic.fields import Array, colour, mix, smoothstep, spot
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
        kind = draws.uniform()
        # Of men: 44% shaved, 14% stubble, 8% a moustache, 10% a goatee, 24% a full beard.
        stubble = ((kind > 0.44) & (kind < 0.58)) * draws.uniform(0.18, 0.34)
        moustache = (kind > 0.58) & (kind < 0.66)
        goatee = (kind > 0.66) & (kind < 0.76)
        full = (kind > 0.76) * draws.uniform(0.85, 1.0)
        cheeks = np.maximum(stubble, full)
        return cls(
            cheeks=cheeks * grows,
            chin=np.maximum(cheeks, 0.95 * goatee) * grows,
            lip=np.maximum(cheeks, 0.95 * (moustache | goatee)) * grows,
            length=full * draws.uniform(0.05, 1.0) * grows,
            line=draws.normal(0.25, 0.03),
            colour=mix(traits.hair_colour, colour(0.03, 0.018, 0.012), 0.2),
        )


def beard_cover(beard: Beard, form: Form, shape: Lips, at: Surface, strands: Array) -> Array:
    """How much hair covers the lower face, 0..1, (n, 1, size, size)."""
    u, v = at.u, at.v
    a = np.abs(u)
    # How far below the line of the moustache, which hangs at its ends.
    drop = 1.1 * a * a - 0.05 * form.smile * (1.0 - 8.0 * a * a)
    over = v - form.mouth - drop
    # From the sideburns down along the cheek's line, which curves to the mouth's corners.
    inner = 0.215 + 0.02 * strands
    edge = beard.line + 0.9 * np.maximum(0.36 - a, 0.0) - 2.4 * np.maximum(a - 0.43, 0.0)
    jaw = smoothstep(-0.02, 0.03, v - edge) * smoothstep(-0.03, 0.03, a - inner)
    below = smoothstep(form.mouth + 0.115, form.mouth + 0.155, v)
    jaw = np.maximum(jaw, below)
    chin = below * smoothstep(0.26, 0.18, a + 0.5 * np.maximum(over - 0.12, 0.0))
    patch = spot(u, v - form.mouth - 0.115, 0.03, 0.04)
    # The moustache hangs over the lip and, of a goatee and a full beard, round to the chin.
    lip = smoothstep(-0.122, -0.085, over) * smoothstep(0.01, -0.03, over)
    lip = lip * smoothstep(0.26, 0.21, a)
    ends = smoothstep(0.040, 0.022, np.abs(a - 0.222 + 1.2 * np.maximum(over, 0.0) ** 2))
    ends = ends * smoothstep(-0.08, 0.0, over) * smoothstep(0.20, 0.14, over)
    cover = np.maximum(jaw * beard.cheeks, np.maximum(chin, 0.8 * patch) * beard.chin)
    cover = np.maximum(cover, np.maximum(lip * beard.lip, ends * np.minimum(beard.lip, beard.chin)))
    cover = cover * (1.0 - shape.lips) * (1.0 - shape.inside)
    return np.clip(cover * (0.96 + 0.08 * strands), 0.0, 0.98)
