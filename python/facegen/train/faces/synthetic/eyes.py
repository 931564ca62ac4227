"""Eyes, lids, lashes and brows. Both eyes are drawn at once, mirrored, but look the same way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facegen.train.faces.synthetic.draws import Draws
from facegen.train.faces.synthetic.fields import Array, bump, colour, mix, smoothstep, spot
from facegen.train.faces.synthetic.form import Form
from facegen.train.faces.synthetic.head import Surface
from facegen.train.faces.synthetic.light import Light
from facegen.train.faces.synthetic.traits import Traits


@dataclass(frozen=True)
class Eyes:
    """Every field is (n, 1, 1, 1); colours (n, 3, 1, 1)."""

    width: Array
    upper: Array
    lower: Array
    tilt: Array
    squint: Array
    gaze_x: Array
    gaze_y: Array
    iris: Array
    lashes: Array
    crease: Array
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
        light_eyes = np.clip(draws.uniform(-0.5, 1.0) - 1.6 * traits.melanin, 0, 1)
        hue = draws.uniform()
        pale = mix(colour(0.10, 0.15, 0.21), colour(0.12, 0.14, 0.08), hue)
        brown = mix(colour(0.020, 0.010, 0.006), colour(0.11, 0.05, 0.02), draws.uniform() ** 2)
        squint = np.clip(0.30 * form.smile + 0.2 * age + draws.normal(0.05, 0.1), -0.1, 0.6)
        made_up = draws.chance(0.5 * (1 - male)) * draws.uniform()
        raised = draws.normal(0, 0.012) - 0.012 * form.smile
        return cls(
            width=draws.normal(0.126, 0.006),
            upper=(draws.normal(0.056, 0.006) + 0.006 * (1 - male)) * (1 - 0.45 * squint),
            lower=draws.normal(0.036, 0.004) * (1 - 0.35 * squint),
            tilt=draws.normal(0.05, 0.07),
            squint=squint,
            gaze_x=draws.normal(0, 0.012) - 0.045 * yaw,
            gaze_y=draws.normal(0.0, 0.006),
            iris=mix(brown, pale, smoothstep(0.15, 0.6, light_eyes)),
            lashes=0.35 + 0.35 * (1 - male) + 0.3 * made_up,
            crease=np.clip(draws.normal(0.55, 0.25), 0.1, 1),
            makeup=made_up * 0.5,
            makeup_colour=mix(colour(0.10, 0.05, 0.04), colour(0.08, 0.07, 0.10), draws.uniform()),
            brow_height=draws.normal(0.150, 0.010) - 0.022 * male + raised,
            brow_thickness=draws.normal(0.023, 0.004) + 0.008 * male,
            brow_arch=np.clip(draws.normal(0.045, 0.015) - 0.018 * male, 0.005, 0.1),
            brow_slope=draws.normal(-0.035, 0.028) + 0.03 * male,
            brow_density=np.clip(draws.normal(0.84, 0.12) - 0.2 * age * (1 - male), 0.3, 0.95),
            brow_colour=mix(traits.hair_colour, colour(0.02, 0.012, 0.008), 0.6),
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
    top = -eyes.upper * np.sqrt(arch) * (0.72 + 0.28 * arch) * (1.0 - 0.12 * along)
    bottom = eyes.lower * arch * (1.0 + 0.25 * along)
    shown = smoothstep(top - soft, top + soft, y) * smoothstep(bottom + soft, bottom - soft, y)
    shown = shown * smoothstep(1.05, 0.85, np.abs(along))
    return EyeShape(along, y, top, bottom, shown)


def paint_eyes(albedo: Array, eyes: Eyes, form: Form, shape: EyeShape, at: Surface) -> Array:
    """Lids, lashes, eyeball and iris over the skin's albedo."""
    x = np.abs(at.u) - form.eye
    near = bump(shape.along / 1.05)
    # Shadow paint and crease above the lid.
    lid = smoothstep(-0.10, -0.03, shape.y) * smoothstep(0.02, -0.03, shape.y) * near
    albedo = mix(albedo, eyes.makeup_colour, lid * eyes.makeup)
    crease = bump((shape.y - shape.top + 0.034) / 0.012) * near
    albedo = albedo * (1.0 - 0.38 * eyes.crease * crease)

    side = np.sign(at.u)
    ix, iy = x - side * eyes.gaze_x, shape.y - eyes.gaze_y + 0.008
    r = np.sqrt(ix * ix + iy * iy)
    under_lid = bump((shape.y - shape.top) / 0.028)
    white = colour(0.36, 0.33, 0.30) * (1.0 - 0.45 * under_lid)
    white = white * (1.0 - 0.25 * np.minimum(shape.along * shape.along, 1.2))
    tone = eyes.iris * (0.75 + 0.7 * smoothstep(-0.03, 0.04, iy) + 0.4 * bump((r - 0.03) / 0.012))
    tone = tone * smoothstep(0.062, 0.046, r)
    tone = tone * smoothstep(0.014, 0.026, r)
    ball = mix(white, tone * (1.0 - 0.3 * under_lid), smoothstep(0.062, 0.050, r))
    albedo = mix(albedo, ball, shape.open)

    reach = smoothstep(1.18, 0.85, np.abs(shape.along))
    lash = bump((shape.y - shape.top + 0.004) / (0.010 + 0.007 * eyes.lashes)) * reach
    albedo = mix(albedo, colour(0.012, 0.008, 0.007), np.minimum(lash * eyes.lashes * 1.1, 0.95))
    rim = bump((shape.y - shape.bottom - 0.004) / 0.011) * reach
    return albedo * (1.0 - 0.30 * rim * (0.4 + eyes.lashes))


def catchlight(eyes: Eyes, form: Form, shape: EyeShape, at: Surface, light: Light) -> Array:
    """The lamp mirrored in the eyeballs, (n, 1, size, size)."""
    x = np.abs(at.u) - form.eye
    side = np.sign(at.u)
    dx = x - side * (eyes.gaze_x + 0.022 * light.x)
    dy = shape.y - eyes.gaze_y + 0.008 - 0.026 * light.y
    return spot(dx, dy, 0.013, 0.013) * shape.open


def paint_brows(albedo: Array, eyes: Eyes, at: Surface, strands: Array) -> Array:
    """``strands`` is fine noise around 0, (n, 1, size, size)."""
    a = np.abs(at.u)
    along = np.clip((a - 0.10) / 0.32, -0.5, 1.5)
    rise = eyes.brow_arch * (1.0 - ((along - 0.62) / 0.62) ** 2) - eyes.brow_slope * (0.35 - along)
    y = at.v + eyes.brow_height + rise
    thickness = eyes.brow_thickness * (1.15 - 0.55 * along)
    mask = bump(y / thickness) * smoothstep(-0.12, 0.12, along) * smoothstep(1.12, 0.8, along)
    mask = np.clip(mask * 1.25 * (1.0 + 0.22 * strands), 0, 1) * eyes.brow_density
    return mix(albedo, eyes.brow_colour, mask)
