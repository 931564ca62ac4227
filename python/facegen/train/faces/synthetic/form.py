"""The face's relief: sockets, nose, cheeks, folds, lips and chin as heights over the dome."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facegen.train.faces.synthetic.draws import Draws
from facegen.train.faces.synthetic.fields import Array, bump, smoothstep, spot
from facegen.train.faces.synthetic.head import Surface
from facegen.train.faces.synthetic.traits import Traits


@dataclass(frozen=True)
class Form:
    """Every field is (n, 1, 1, 1), in the head's units."""

    eye: Array
    """Distance of an eye's middle from the face's."""
    mouth: Array
    """Height of the mouth's line."""
    nose_tip: Array
    nose_width: Array
    nose_height: Array
    ridge: Array
    cheek: Array
    fold: Array
    wrinkle: Array
    smile: Array
    """-0.3 sad .. 1 laughing."""

    @classmethod
    def draw(cls, draws: Draws, traits: Traits) -> Form:
        age, male = traits.age, traits.male
        smile = np.clip(draws.normal(0.5, 0.38), -0.3, 1.0)
        tip = draws.normal(0.232, 0.016) + 0.012 * male
        return cls(
            eye=draws.normal(0.255, 0.008),
            mouth=draws.normal(0.412, 0.013) + 0.012 * male,
            nose_tip=tip,
            nose_width=draws.normal(0.080, 0.007) + 0.008 * male + 0.014 * traits.melanin,
            nose_height=draws.normal(0.115, 0.018) + 0.015 * male - 0.02 * traits.melanin,
            ridge=np.clip(draws.normal(0.25, 0.15) + 0.45 * male, 0, 1),
            cheek=draws.normal(0.5, 0.25) + 0.25 * smile,
            fold=np.clip(draws.normal(-0.1, 0.1) + 0.75 * age + 0.2 * smile, 0, 1.0),
            wrinkle=np.clip(draws.normal(-0.25, 0.12) + 1.0 * age, 0, 0.8),
            smile=smile,
        )


@dataclass(frozen=True)
class Relief:
    """Every field is (n, 1, size, size)."""

    height: Array
    hollow: Array
    """Where little of the sky's light comes in, 0..1."""
    nose_u: Array
    """u as the nose, which stands out of the face, sees it."""


def relief(form: Form, at: Surface) -> Relief:
    u, v = at.u, at.v
    a = np.abs(u)
    tip = form.nose_tip
    # The nose stands off the dome, so a turned head shows it further to the side.
    along = np.clip((v + 0.06) / (tip + 0.06), 0.0, 1.0)
    nose_u = u - at.sin_yaw * form.nose_height * (0.3 + along) * bump(u / 0.28)
    na = np.abs(nose_u)

    below_tip = smoothstep(tip + 0.075, tip - 0.01, v)
    bridge_width = 0.045 + 0.035 * along
    bridge = bump(nose_u / bridge_width) * (0.25 + 0.6 * along) * below_tip
    bridge = bridge * smoothstep(-0.16, 0.02, v)
    ball = spot(nose_u, v - tip + 0.008, 0.06, 0.05)
    wings = spot(na - form.nose_width, v - tip - 0.012, 0.038, 0.042)
    nose = form.nose_height * (0.64 * bridge + 0.30 * ball + 0.33 * wings)

    socket = spot(a - form.eye + 0.02, v + 0.01, 0.16, 0.11)
    eyeball = spot(a - form.eye, v - 0.005, 0.085, 0.055)
    ridge = spot(a - 0.22, v + 0.15, 0.2, 0.055)
    cheek = spot(a - 0.31, v - 0.20, 0.14, 0.12)
    muzzle = spot(u, v - form.mouth + 0.01, 0.20, 0.13)
    under_lip = spot(u, v - form.mouth - 0.12, 0.10, 0.03)
    chin = spot(u, v - 0.61, 0.13, 0.08)
    philtrum = spot(u, v - form.mouth + 0.10, 0.018, 0.04)

    # Nasolabial folds: from beside the nose outwards around the mouth's corners.
    down = v - tip
    course = form.nose_width + 0.045 + down * (0.55 + 0.15 * form.smile)
    fold = bump((a - course) / 0.026) * smoothstep(-0.02, 0.05, down)
    fold = fold * smoothstep(0.30, 0.12, down)
    bag = bump((v - 0.105 - 0.25 * (a - form.eye) ** 2) / 0.02) * bump((a - form.eye) / 0.1)
    lines = np.sin((v + 0.3 * u * u) * 62.0) * spot(u, v + 0.38, 0.26, 0.10)
    frown = spot(a - 0.045, v + 0.12, 0.014, 0.05)

    height = nose
    height = height - 0.045 * socket + 0.022 * eyeball + (0.014 + 0.028 * form.ridge) * ridge
    height = height + 0.04 * form.cheek * cheek + 0.035 * muzzle
    height = height - 0.022 * under_lip + 0.035 * chin - 0.006 * philtrum
    height = height - 0.012 * form.fold * fold
    height = height - form.wrinkle * (0.005 * bag + 0.0022 * lines + 0.006 * frown)

    beside_nose = spot(na - form.nose_width - 0.03, v - tip + 0.03, 0.035, 0.07)
    nostrils = spot(na - 0.042, v - tip - 0.042, 0.026, 0.018)
    under_nose = spot(nose_u, v - tip - 0.07, 0.085, 0.03)
    inner_eye = spot(a - 0.125, v + 0.01, 0.05, 0.07)
    hollow = 0.10 * socket + 0.16 * inner_eye + 0.12 * beside_nose + 0.45 * nostrils
    hollow = hollow + 0.25 * under_nose + 0.22 * under_lip + 0.15 * form.fold * fold
    hollow = hollow + form.wrinkle * (0.10 * bag + 0.05 * frown)
    return Relief(height, np.minimum(hollow, 0.9), nose_u)
