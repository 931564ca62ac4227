"""Eyes, lids, lashes and brows. Both eyes are drawn at once, mirrored, but look the same way.

They are larger than life, as an illustrator draws them: an eye's opening is eight pixels by four
in a picture of 64, so that iris, pupil and the lamp's reflection each have pixels of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facegen.train.faces.synthetic.draws import Draws
from facegen.train.faces.synthetic.fields import Array, bump, colour, mix, palette, smoothstep, spot
from facegen.train.faces.synthetic.form import Form
from facegen.train.faces.synthetic.head import Surface
from facegen.train.faces.synthetic.light import Light
from facegen.train.faces.synthetic.traits import Traits

_LINE = colour(0.022, 0.013, 0.012)
_WHITE = colour(0.72, 0.69, 0.66)
_BROWN = palette("#2e1a11", "#402517", "#54321d", "#6b4523")
_PALE = palette("#2f658f", "#46808f", "#4c7547", "#6b7440", "#66747f")
_LIDS = palette("#a8705c", "#8d6f93", "#6f8390", "#b5876a")


@dataclass(frozen=True)
class Eyes:
    """Every field is (n, 1, 1, 1); colours (n, 3, 1, 1)."""

    width: Array
    upper: Array
    lower: Array
    tilt: Array
    gaze_x: Array
    gaze_y: Array
    radius: Array
    """Of the iris."""
    iris: Array
    lashes: Array
    makeup: Array
    makeup_colour: Array
    brow_height: Array
    brow_thickness: Array
    brow_arch: Array
    brow_slope: Array
    brow_density: Array
    brow_colour: Array

    @classmethod
    def draw(cls, draws: Draws, traits: Traits, form: Form, yaw: Array) -> Eyes:
        male, age = traits.male, traits.age
        pale = draws.chance(np.clip(0.75 - 1.5 * traits.melanin, 0.03, 1.0))
        squint = np.clip(0.22 * form.smile + 0.2 * age + draws.normal(0.03, 0.08), -0.1, 0.55)
        made_up = draws.chance(0.5 * (1 - male)) * draws.uniform(0.3, 1.0)
        raised = draws.normal(0, 0.012) - 0.010 * form.smile
        return cls(
            width=draws.normal(0.138, 0.006) - 0.006 * male,
            upper=(draws.normal(0.085, 0.007) + 0.006 * (1 - male)) * (1 - 0.42 * squint),
            lower=draws.normal(0.056, 0.004) * (1 - 0.42 * squint),
            tilt=draws.normal(0.04, 0.07),
            gaze_x=draws.normal(0, 0.010) - 0.03 * yaw,
            gaze_y=draws.normal(0.0, 0.005),
            radius=draws.normal(0.079, 0.003),
            iris=mix(draws.one_of(_BROWN), draws.one_of(_PALE), pale),
            lashes=np.clip(0.30 + 0.35 * (1 - male) + 0.35 * made_up, 0.0, 1.0),
            makeup=made_up * 0.55,
            makeup_colour=draws.one_of(_LIDS),
            brow_height=draws.normal(0.186, 0.010) - 0.022 * male + raised,
            brow_thickness=draws.normal(0.027, 0.004) + 0.009 * male,
            brow_arch=np.clip(draws.normal(0.045, 0.015) - 0.015 * male, 0.005, 0.1),
            brow_slope=np.minimum(draws.normal(-0.04, 0.025) + 0.015 * male, 0.005),
            brow_density=np.clip(draws.normal(0.92, 0.06) - 0.12 * age * (1 - male), 0.6, 1.0),
            brow_colour=mix(traits.hair_colour, colour(0.02, 0.012, 0.008), 0.5),
        )


@dataclass(frozen=True)
class EyeShape:
    """Every field is (n, 1, size, size)."""

    along: Array
    """Across one eye: -1 at the nose's side, 1 at the temple's."""
    y: Array
    top: Array
    bottom: Array
    open: Array
    """Where the eyeball shows."""


def eye_shape(eyes: Eyes, form: Form, at: Surface, soft: float) -> EyeShape:
    x = np.abs(at.u) - form.eye
    along = x / eyes.width
    y = at.v + eyes.tilt * x
    arch = np.maximum(1.0 - along * along, 0.0)
    # The upper lid is highest a little towards the nose, the lower lid lowest towards the temple.
    top = -eyes.upper * np.sqrt(arch) * (0.70 + 0.30 * arch) * (1.0 - 0.10 * along)
    bottom = eyes.lower * arch * (1.0 + 0.18 * along)
    shown = smoothstep(top - soft, top + soft, y) * smoothstep(bottom + soft, bottom - soft, y)
    shown = shown * smoothstep(1.05, 0.88, np.abs(along))
    return EyeShape(along, y, top, bottom, shown)


def from_iris(eyes: Eyes, form: Form, shape: EyeShape, at: Surface) -> tuple[Array, Array]:
    """Distance from the middle of an iris, 1 at its rim, and how far below it, in faces."""
    ix = np.abs(at.u) - form.eye - np.sign(at.u) * eyes.gaze_x
    iy = shape.y - eyes.gaze_y + 0.012
    return np.sqrt(ix * ix + iy * iy) / eyes.radius, iy


def paint_eyes(albedo: Array, eyes: Eyes, form: Form, shape: EyeShape, at: Surface) -> Array:
    """Lids, lashes, eyeball and iris over the skin's albedo."""
    near = bump(shape.along / 1.05)
    # Shadow paint, and the lid's crease above it.
    over = shape.y - shape.top
    albedo = mix(albedo, eyes.makeup_colour, bump((over + 0.03) / 0.035) * near * eyes.makeup)
    albedo = albedo * (1.0 - 0.28 * bump((over + 0.052) / 0.013) * near)

    r, iy = from_iris(eyes, form, shape, at)
    shade = 1.0 - 0.40 * bump((over - 0.005) / 0.035)  # of the upper lid
    # An iris is lit from above and glows opposite; its rim is dark, its pupil darker.
    tone = eyes.iris * (0.7 + 0.8 * smoothstep(-0.05, 0.06, iy))
    tone = tone * (1.0 - 0.55 * smoothstep(0.72, 1.0, r))
    tone = mix(_LINE * 0.6, tone, smoothstep(0.40, 0.54, r))
    ball = mix(tone, _WHITE, smoothstep(0.93, 1.10, r)) * shade
    albedo = mix(albedo, ball, shape.open)

    reach = smoothstep(1.16, 0.90, np.abs(shape.along))
    # The line of the lashes grows towards the temple.
    thick = 0.013 + (0.006 + 0.006 * shape.along) * eyes.lashes
    lash = bump((over + 0.004) / thick) * reach
    albedo = mix(albedo, _LINE, np.minimum(lash * (0.65 + 0.5 * eyes.lashes), 0.97))
    rim = bump((shape.y - shape.bottom - 0.004) / 0.012) * reach
    return albedo * (1.0 - 0.34 * rim * (0.4 + eyes.lashes))


def catchlight(eyes: Eyes, form: Form, shape: EyeShape, at: Surface, light: Light) -> Array:
    """The lamp mirrored in the eyeballs, and the room below it, (n, 1, size, size)."""
    x = np.abs(at.u) - form.eye
    side = np.sign(at.u)
    # Towards the lamp, by half a radius or more: small lamps would hide in the pupil.
    away = np.where(light.x < 0, -0.018, 0.018) + 0.012 * light.x
    dx = side * x - eyes.gaze_x
    dy = shape.y - eyes.gaze_y + 0.012
    lamp = spot(dx - away, dy + 0.030, 0.021, 0.021)
    room = spot(dx + 1.3 * away, dy - 0.034, 0.014, 0.012)
    return (lamp + 0.3 * room) * shape.open


def paint_brows(albedo: Array, eyes: Eyes, at: Surface, strands: Array) -> Array:
    """``strands`` is fine noise around 0, (n, 1, size, size)."""
    a = np.abs(at.u)
    along = np.clip((a - 0.10) / 0.31, -0.5, 1.5)
    rise = eyes.brow_arch * (1.0 - ((along - 0.6) / 0.6) ** 2) - eyes.brow_slope * (0.35 - along)
    y = at.v + eyes.brow_height + rise
    thickness = eyes.brow_thickness * (1.15 - 0.55 * along)
    mask = bump(y / thickness) * smoothstep(-0.10, 0.08, along) * smoothstep(1.12, 0.85, along)
    mask = np.clip(mask * 1.35 * (1.0 + 0.10 * strands), 0, 1) * eyes.brow_density
    return mix(albedo, eyes.brow_colour, mask)
