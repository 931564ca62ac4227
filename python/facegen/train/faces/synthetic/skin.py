"""Skin: colour from its two pigments, melanin and haemoglobin, which vary over the face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facegen.train.faces.synthetic.draws import Draws
from facegen.train.faces.synthetic.fields import Array, colour, smoothstep, spot, stretch
from facegen.train.faces.synthetic.form import Form
from facegen.train.faces.synthetic.head import Surface
from facegen.train.faces.synthetic.traits import Traits


@dataclass(frozen=True)
class Skin:
    """Every field is (n, 1, 1, 1) unless said otherwise."""

    melanin: Array
    blood: Array
    blush: Array
    freckles: Array
    oil: Array
    mottle: Array
    """(n, 2, 14, 14): slow variation of the two pigments."""
    speckle: Array
    """(n, 1, 48, 48)."""

    @classmethod
    def draw(cls, draws: Draws, traits: Traits) -> Skin:
        fair = 1.0 - traits.melanin
        return cls(
            melanin=traits.melanin,
            blood=traits.blood,
            blush=np.clip(draws.normal(0.35, 0.25), 0, 1),
            freckles=draws.chance(0.18 * fair) * draws.uniform(0.2, 1.0),
            oil=draws.uniform(0.3, 1.0),
            mottle=draws.grid(14, 14, 2),
            speckle=draws.grid(48, 48),
        )


def pigment_colour(melanin: Array, blood: Array) -> Array:
    """Albedo in linear light, (n, 3, ...): each pigment absorbs its own part of the spectrum."""
    density = melanin * colour(1.66, 2.12, 2.46) + blood * colour(0.10, 0.42, 0.38)
    return colour(0.78, 0.55, 0.425) * np.exp(-density)


def skin_albedo(skin: Skin, form: Form, at: Surface, redness: Array) -> Array:
    """Albedo of the face (n, 3, size, size).

    Parameters
    ----------
    redness
        Added haemoglobin, of the lips.
    """
    u, v = at.u, at.v
    size = u.shape[-1]
    a = np.abs(u)
    mottle = stretch(skin.mottle, size)
    cheeks = spot(a - 0.33, v - 0.22, 0.16, 0.13)
    nose = spot(u, v - form.nose_tip, 0.10, 0.07)
    eyes = spot(a - form.eye, v - 0.05, 0.13, 0.06)
    blood = skin.blood + 0.30 + 0.12 * mottle[:, :1] + skin.blush * (0.75 * cheeks + 0.5 * nose)
    blood = blood + 0.25 * eyes + redness
    freckles = smoothstep(0.3, 1.6, stretch(skin.speckle, size)) * spot(u, v - 0.17, 0.42, 0.2)
    melanin = skin.melanin + 0.035 * mottle[:, 1:] + 0.09 * eyes + 0.08 * redness
    melanin = melanin + 0.35 * skin.freckles * freckles
    return pigment_colour(melanin, blood)
