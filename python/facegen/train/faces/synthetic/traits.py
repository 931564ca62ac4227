"""What correlates everything else about a person: sex, age, skin and hair colour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facegen.train.faces.synthetic.draws import Draws
from facegen.train.faces.synthetic.fields import Array, bump, colour, mix, smoothstep


@dataclass(frozen=True)
class Traits:
    """Every field is (n, 1, 1, 1); colours (n, 3, 1, 1) in linear light."""

    male: Array
    """0 feminine .. 1 masculine; two soft clusters."""
    age: Array
    """0 a young adult .. 1 about eighty."""
    melanin: Array
    """0 the lightest skin .. 1 the darkest."""
    blood: Array
    """How much haemoglobin shows, around 0."""
    weight: Array
    """-1 lean .. 1 heavy."""
    grey: Array
    """How much of the hair is grey."""
    hair_colour: Array

    @classmethod
    def draw(cls, draws: Draws) -> Traits:
        male = np.clip(mix(0.12, 0.88, draws.chance(0.5)) + draws.normal(0, 0.09), 0, 1)
        age = draws.uniform() ** 1.5
        melanin = np.clip(draws.uniform(-0.04, 1.0), 0, 1)
        blood = draws.normal(0, 0.22)
        weight = np.clip(draws.normal(-0.05, 0.4) + 0.25 * age, -1, 1)
        greying = smoothstep(0.55, 1.0, age + draws.normal(0, 0.13))
        grey = greying * mix(1.0, 0.35, draws.chance(0.6) * (1 - male))  # dyed now and then
        return cls(male, age, melanin, blood, weight, grey, _hair_colour(draws, melanin, grey))


def _hair_colour(draws: Draws, melanin: Array, grey: Array) -> Array:
    """Dark pigment (eumelanin) follows the skin's; red pigment shows where there is little."""
    fair = smoothstep(0.6, 0.15, melanin)
    dark = np.clip(mix(0.98, 0.43, fair) + draws.normal(0, 0.2) * (0.35 + 0.65 * fair), 0.08, 1)
    red = np.clip(draws.normal(0.45, 0.16), 0.1, 1) + 0.9 * draws.chance(0.07) * fair
    pigment = dark * colour(3.7, 4.0, 4.3) + red * colour(0.25, 1.15, 2.0)
    bare = colour(0.62, 0.57, 0.50)
    whitened = colour(0.40, 0.39, 0.38) * (0.75 + 0.5 * bump(dark))
    return mix(bare * np.exp(-pigment), whitened, grey * 0.85)
