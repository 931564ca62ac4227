"""What surrounds the face: background, neck, shoulders and clothes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facegen.train.faces.synthetic.draws import Draws
from facegen.train.faces.synthetic.fields import Array, bump, colour, mix, smoothstep, stretch
from facegen.train.faces.synthetic.head import Surface
from facegen.train.faces.synthetic.light import Light, diffuse, normals
from facegen.train.faces.synthetic.skin import Skin, pigment_colour
from facegen.train.faces.synthetic.traits import Traits


def _any_colour(draws: Draws, brightness: Array, saturation: Array) -> Array:
    """A colour (n, 3, 1, 1) in linear light: orange to brown or blue to green, seldom purple."""
    warm = mix(3.5, 0.55, draws.chance(0.5))
    hue = warm + draws.normal(0, 0.6)
    turn = np.array([0, 2.094, 4.189], np.float32).reshape(1, 3, 1, 1)
    return brightness * np.exp(saturation * np.cos(hue - turn))


@dataclass(frozen=True)
class Scene:
    """Every field is (n, 1, 1, 1) unless said otherwise."""

    backdrop: Array
    """(n, 3, 1, 1)."""
    other: Array
    """(n, 3, 1, 1): a second colour, towards which the backdrop varies."""
    tilt_x: Array
    tilt_y: Array
    variety: Array
    blobs: Array
    """(n, 2, 7, 7)."""
    detail: Array
    """(n, 2, 9, 15)."""
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
        brightness = np.exp(draws.normal(-1.75, 0.75))
        saturation = np.abs(draws.normal(0.0, 0.22))
        second = brightness * np.exp(draws.normal(0, 0.8))
        cloth = np.exp(draws.normal(-2.1, 1.0))
        return cls(
            backdrop=np.minimum(_any_colour(draws, brightness, saturation), 0.65),
            other=np.minimum(_any_colour(draws, second, saturation), 0.75),
            tilt_x=draws.normal(0, 0.35),
            tilt_y=draws.normal(0, 0.35),
            variety=draws.uniform(),
            blobs=draws.grid(7, 7, 2),
            detail=draws.grid(9, 15, 2),
            neck_width=draws.normal(0.315, 0.02) + 0.065 * male + 0.04 * traits.weight,
            shoulder=draws.normal(0.92, 0.03) + 0.02 * (1 - male),
            drop=draws.normal(0.26, 0.06) - 0.06 * male,
            neckline=draws.normal(1.04, 0.05) + 0.06 * (1 - male),
            vee=draws.uniform(0.0, 0.6),
            cloth=np.minimum(_any_colour(draws, cloth, np.abs(draws.normal(0, 0.45))), 0.75),
            jacket=draws.chance(0.25 + 0.15 * male),
            jacket_colour=_any_colour(
                draws, np.exp(draws.normal(-3.2, 0.7)), draws.uniform(0, 0.3)
            ),
            folds=draws.grid(6, 9),
        )


def background(scene: Scene, size: int) -> Array:
    """A gradient with out-of-focus shapes, (n, 3, size, size)."""
    axis = ((np.arange(size) + 0.5) * 2 / size - 1.0).astype(np.float32)
    blobs = stretch(scene.blobs, size) + 0.5 * stretch(scene.detail, size)
    ramp = scene.tilt_x * axis.reshape(1, 1, 1, -1) + scene.tilt_y * axis.reshape(1, 1, -1, 1)
    sharp = 1.0 + 2.0 * scene.variety  # towards shapes with edges
    blend = smoothstep(-1.0, 1.0, sharp * (ramp + scene.variety * 0.9 * blobs[:, :1]))
    glow = 1.0 + 0.35 * scene.variety * blobs[:, 1:]
    return mix(scene.backdrop, scene.other, blend) * np.maximum(glow, 0.1)


def neck(canvas: Array, scene: Scene, skin: Skin, light: Light, at: Surface, soft: float) -> Array:
    """Neck and upper chest over the canvas, in the chin's shadow."""
    p = at.p - 0.10 * at.sin_yaw
    slope_in = np.maximum(at.q - 0.86, 0.0)
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
    down = np.maximum(at.q - 0.72, 0.0) / (scene.neckline - 0.72)
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
