"""What surrounds the face: background, neck, shoulders and clothes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facegen.train.faces.synthetic.draws import Draws
from facegen.train.faces.synthetic.fields import (
    Array,
    bump,
    colour,
    mix,
    palette,
    smoothstep,
    stretch,
)
from facegen.train.faces.synthetic.head import Surface
from facegen.train.faces.synthetic.light import Light, diffuse, normals
from facegen.train.faces.synthetic.skin import Skin, pigment_colour
from facegen.train.faces.synthetic.traits import Traits

_WALLS = palette(
    "#f3e3cf", "#efd3b0", "#f0c4a0", "#e9b68c", "#e3a58a", "#d98f72", "#c9735a", "#e8c46e",
    "#d9a648", "#d7c9a7", "#b9bf95", "#93a886", "#6f9487", "#8fb3ad", "#b6d0cb", "#a9c4d6",
    "#7f9fb8", "#557a94", "#dcb8b4", "#c99a9c", "#a8837f", "#8c6a5c", "#5f5a63", "#3f4c5c",
)  # fmt: skip
_CLOTHS = palette(
    "#f4efe6", "#e9dcc3", "#d8a25e", "#c76b4a", "#a9443f", "#7d3440", "#d98c86", "#e5b9ae",
    "#8a9a6b", "#4f6f5a", "#2f5a5c", "#3f6f86", "#2f4a6d", "#27324a", "#5a4a6b", "#6b5546",
    "#3b3432", "#23242a", "#8d9296", "#e2b84f",
)  # fmt: skip
_JACKETS = palette("#22252e", "#2c3444", "#3c3230", "#4b4a45", "#5a4634", "#30413c")


@dataclass(frozen=True)
class Scene:
    """Every field is (n, 1, 1, 1) unless said otherwise."""

    backdrop: Array
    """(n, 3, 1, 1)."""
    other: Array
    """(n, 3, 1, 1): a second colour, towards which the backdrop varies."""
    tilt_x: Array
    tilt_y: Array
    glow: Array
    """How much lighter the backdrop is behind the head."""
    variety: Array
    """How much of shapes out of focus is seen; mostly 0."""
    blobs: Array
    """(n, 2, 6, 6)."""
    neck_width: Array
    shoulder: Array
    drop: Array
    neckline: Array
    vee: Array
    cloth: Array
    """(n, 3, 1, 1)."""
    jacket: Array
    """0 none .. 1 worn."""
    jacket_colour: Array
    """(n, 3, 1, 1)."""
    folds: Array
    """(n, 1, 6, 9)."""

    @classmethod
    def draw(cls, draws: Draws, traits: Traits) -> Scene:
        male = traits.male
        wall = draws.one_of(_WALLS) * np.exp(draws.normal(0, 0.12))
        other = mix(wall * np.exp(draws.normal(-0.25, 0.3)), draws.one_of(_WALLS), 0.35)
        return cls(
            backdrop=np.minimum(wall, 0.85),
            other=np.minimum(other, 0.85),
            tilt_x=draws.normal(0, 0.5),
            tilt_y=draws.normal(0.3, 0.5),
            glow=draws.uniform(0.0, 0.45),
            variety=draws.chance(0.3) * draws.uniform(0.3, 1.0),
            blobs=draws.grid(6, 6, 2),
            neck_width=draws.normal(0.29, 0.015) + 0.065 * male + 0.04 * traits.weight,
            shoulder=draws.normal(0.85, 0.02) + 0.02 * (1 - male),
            drop=draws.normal(0.26, 0.06) - 0.06 * male,
            neckline=draws.normal(0.97, 0.03) + 0.03 * (1 - male),
            vee=draws.uniform(0.0, 0.6),
            cloth=np.minimum(draws.one_of(_CLOTHS) * np.exp(draws.normal(0, 0.15)), 0.8),
            jacket=draws.chance(0.2 + 0.15 * male),
            jacket_colour=draws.one_of(_JACKETS),
            folds=draws.grid(6, 9),
        )


def background(scene: Scene, size: int) -> Array:
    """A wall with a gradient, a glow and seldom shapes out of focus, (n, 3, size, size)."""
    axis = ((np.arange(size) + 0.5) * 2 / size - 1.0).astype(np.float32)
    x, y = axis.reshape(1, 1, 1, -1), axis.reshape(1, 1, -1, 1)
    blobs = stretch(scene.blobs, size)
    ramp = scene.tilt_x * x + scene.tilt_y * y
    blend = smoothstep(-1.3, 1.3, ramp + 1.4 * scene.variety * blobs[:, :1])
    glow = 1.0 + scene.glow * (bump(np.sqrt(x * x + (y + 0.1) ** 2) / 0.95) - 0.4)
    return mix(scene.backdrop, scene.other, blend) * glow


def neck(canvas: Array, scene: Scene, skin: Skin, light: Light, at: Surface, soft: float) -> Array:
    """Neck and upper chest over the canvas, in the chin's shadow."""
    p = at.p - 0.10 * at.sin_yaw
    slope_in = np.maximum(at.q - 0.80, 0.0)
    width = scene.neck_width + 1.6 * slope_in * slope_in + 0.10 * smoothstep(0.75, 0.3, at.q)
    edge = np.abs(p) - width
    cover = smoothstep(soft, -soft, edge) * (at.q > 0.2)
    side = np.clip(p / (scene.neck_width * 1.12), -1.0, 1.0)
    n = normals(side, -0.05 + 0.25 * slope_in, np.sqrt(1.03 - side * side))
    # The head hides the lamp: darkest right under the chin, further to the lamp's far side.
    away = at.distance + 0.16 * light.x * p
    shadow = smoothstep(0.30, 0.0, away) * (0.35 + 0.5 * light.contrast)
    tendon = bump((np.abs(p) - 0.14 - 0.2 * (1.0 - at.q)) / 0.05) * 0.08
    lit = diffuse(light, n, colour(0.12, 0.03, 0.01), shadow)
    lit = lit * (1.0 - 0.35 * smoothstep(0.16, 0.0, at.distance)) * (1.0 - tendon)
    return mix(canvas, pigment_colour(skin.melanin + 0.03, skin.blood + 0.35) * lit, cover)


def clothes(canvas: Array, scene: Scene, light: Light, at: Surface, soft: float) -> Array:
    """Shoulders in cloth, with a neckline from round to V, and sometimes a jacket."""
    p = at.p - 0.10 * at.sin_yaw
    a = np.abs(p)
    folds = stretch(scene.folds, p.shape[-1])
    shoulder = at.q - scene.shoulder - scene.drop * (a - 0.40)
    # The opening: an ellipse, sharpened to a V as far as the cut goes.
    down = np.maximum(at.q - 0.66, 0.0) / (scene.neckline - 0.66)
    across = a / (scene.neck_width + 0.06)
    opening = np.sqrt(across * across + down * down)
    opening = mix(opening, across + down * 0.8, scene.vee) - 1.0
    depth = np.minimum(shoulder, 0.3 * opening)
    cover = smoothstep(-soft, soft, depth)
    n = normals(0.8 * p + 0.12 * folds, -0.35 + 0.0 * p, 0.8 + 0.0 * p)
    lit = diffuse(light, n, colour(0.0, 0.0, 0.0), 0.25 * smoothstep(0.3, 0.0, at.distance))
    # A jacket opens to a V over what is worn below.
    jacket = smoothstep(-soft, soft, a - 0.10 - 0.75 * (1.2 - at.q)) * scene.jacket
    cloth = mix(scene.cloth, scene.jacket_colour, jacket)
    return mix(canvas, cloth * lit * (1.0 + 0.10 * folds), cover)


def ears(canvas: Array, skin: Skin, light: Light, at: Surface, soft: float) -> Array:
    """Paint ears behind the head's outline; the far one hides when the head turns."""
    # Ears sit a little behind the head's widest meridian.
    cos_yaw = np.sqrt(1.0 - at.sin_yaw**2)
    x = np.sign(at.p) * at.p - 0.615 * (0.985 * cos_yaw - np.sign(at.p) * 0.17 * at.sin_yaw)
    y = at.q - 0.09
    r = np.sqrt((x / 0.075) ** 2 + ((y + 0.3 * x) / 0.155) ** 2)
    cover = smoothstep(1.0 + soft * 10, 1.0 - soft * 10, r)
    n = normals(np.sign(at.p) * 0.45, 0.0 * x, 0.75 + 0.0 * x)
    lit = diffuse(light, n, colour(0.25, 0.05, 0.02), 0.15)
    inner = 1.0 - 0.45 * bump((r - 0.35) / 0.35)
    return mix(canvas, pigment_colour(skin.melanin, skin.blood + 0.65) * lit * inner, cover)
