"""The picture: people drawn, lit, laid over each other from back to front, and photographed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facegen.train.faces.synthetic.beard import Beard, beard_cover
from facegen.train.faces.synthetic.draws import Draws
from facegen.train.faces.synthetic.eyes import (
    Eyes,
    catchlight,
    eye_shape,
    paint_brows,
    paint_eyes,
)
from facegen.train.faces.synthetic.fields import (
    Array,
    colour,
    mix,
    slope,
    smoothstep,
    spot,
    stretch,
)
from facegen.train.faces.synthetic.form import Form, relief
from facegen.train.faces.synthetic.glasses import Glasses, paint_glasses
from facegen.train.faces.synthetic.hair import Hair, hair_shape, shade_hair
from facegen.train.faces.synthetic.head import Head, Surface, surface
from facegen.train.faces.synthetic.light import Light, diffuse, gloss, normals
from facegen.train.faces.synthetic.mouth import Mouth, lips, paint_mouth
from facegen.train.faces.synthetic.scene import Scene, background, clothes, ears, neck
from facegen.train.faces.synthetic.skin import Skin, skin_albedo
from facegen.train.faces.synthetic.traits import Traits

SIZE = 64
OVERSAMPLING = 2


@dataclass(frozen=True)
class Person:
    """All that is drawn of people before their pictures are."""

    head: Head
    light: Light
    form: Form
    skin: Skin
    eyes: Eyes
    mouth: Mouth
    beard: Beard
    hair: Hair
    glasses: Glasses
    scene: Scene
    grain: Array
    """(n, 1, 64, 64)."""

    @classmethod
    def draw(cls, draws: Draws) -> Person:
        traits = Traits.draw(draws)
        head = Head.draw(draws, traits)
        light = Light.draw(draws)
        form = Form.draw(draws, traits)
        return cls(
            head,
            light,
            form,
            Skin.draw(draws, traits),
            Eyes.draw(draws, traits, form, head.yaw),
            Mouth.draw(draws, traits, form),
            Beard.draw(draws, traits),
            Hair.draw(draws, traits),
            Glasses.draw(draws, traits),
            Scene.draw(draws, traits),
            draws.grid(64, 64),
        )

    def surface(self, size: int) -> Surface:
        """Where on the head each pixel lies, of a picture (size, size)."""
        return surface(self.head, size, 0.10 * self.beard.length)


def render(seed: int, indices: Sequence[int], side: int = SIZE) -> NDArray[np.uint8]:
    """Draw faces.

    Parameters
    ----------
    seed
        Which world of faces.
    indices
        Which faces of it, each >= 0. A face depends on its seed and index alone.
    side
        Of the pictures, in pixels.

    Returns
    -------
    uint8 (len(indices), side, side, 3), sRGB.
    """
    draws = Draws(seed, indices)
    canvas = _paint(Person.draw(draws), side * OVERSAMPLING)
    return _photograph(canvas, draws, side)


def _paint(person: Person, size: int) -> Array:
    """Radiance in linear light, (n, 3, size, size)."""
    light, form, skin, eyes = person.light, person.form, person.skin, person.eyes
    mouth, beard, hair, scene = person.mouth, person.beard, person.hair, person.scene
    grain = stretch(person.grain, size)

    at = person.surface(size)
    soft = 1.2 * at.step
    hair_at = hair_shape(hair, at, light, soft)
    hair_lit = shade_hair(hair, hair_at, at, light)

    canvas = background(scene, size)
    canvas = mix(canvas, hair_lit * 0.55, hair_at.behind)
    canvas = neck(canvas, scene, skin, light, at, soft)
    canvas = clothes(canvas, scene, light, at, soft)
    canvas = ears(canvas, skin, light, at, soft)

    # The face: relief, albedo, light.
    ground = relief(form, at)
    mouth_at = lips(mouth, form, at, soft * 0.6)
    eyes_at = eye_shape(eyes, form, at, soft * 0.6)
    cover = beard_cover(beard, form, mouth_at, at, grain)
    height = ground.height + mouth_at.height + 0.012 * cover * (1.0 + 0.2 * grain)
    dx, dy = slope(height, at.step)
    n = normals(0.92 * at.s - dx, 0.62 * at.t - dy, at.z + 0.22)

    albedo = skin_albedo(skin, form, at, mouth_at.lips * mouth.red)
    albedo = paint_mouth(albedo, mouth, mouth_at)
    albedo = paint_eyes(albedo, eyes, form, eyes_at, at)
    albedo = paint_brows(albedo, eyes, at, grain)
    albedo = mix(albedo, beard.colour * (1.0 + 0.12 * grain), cover)

    # The nose keeps the lamp off the cheek beside it and the lip below it.
    shade_u = ground.nose_u + 0.11 * light.x
    shade_v = at.v - form.nose_tip - 0.03 + 0.06 * light.y
    cast = 0.75 * spot(shade_u, shade_v, 0.085, 0.075) * smoothstep(-0.07, 0.0, shade_v)
    brow_cast = 0.3 * spot(np.abs(at.u) - form.eye, at.v + 0.045, 0.14, 0.035)
    shadow = np.minimum(cast + brow_cast + 0.55 * hair_at.shadow, 0.85)
    scatter = colour(0.16, 0.05, 0.02)
    lit = diffuse(light, n, scatter, shadow * (0.35 + 0.5 * light.contrast))
    lit = lit * (1.0 - ground.hollow) * (1.0 - 0.30 * hair_at.shadow)
    shine = 0.16 * skin.oil * gloss(light, n, 28.0) + 0.05 * gloss(light, n, 6.0)
    matt = np.minimum(0.8 * cover + 0.9 * eyes_at.open + mouth_at.inside, 1.0)
    shine = shine * (1.0 - shadow) * (1.0 - matt)
    face = albedo * lit + shine * light.key * 0.55
    face = face + 0.5 * catchlight(eyes, form, eyes_at, at, light) * light.key
    face = paint_glasses(face, person.glasses, form, at)
    canvas = mix(canvas, face, smoothstep(soft * 0.7, -soft * 0.7, at.distance))
    return mix(canvas, hair_lit, hair_at.front)


def _photograph(canvas: Array, draws: Draws, side: int) -> NDArray[np.uint8]:
    """Reduce, blur a little, expose, add noise and code as sRGB."""
    n, _, size, _ = canvas.shape
    small = canvas.reshape(n, 3, side, size // side, side, size // side).mean((3, 5))
    blur = draws.uniform(0.0, 0.10)
    for axis in (2, 3):
        padded = np.pad(small, [(1, 1) if k == axis else (0, 0) for k in range(4)], mode="edge")
        before = padded.take(range(side), axis)
        after = padded.take(range(2, side + 2), axis)
        small = small * (1.0 - 2.0 * blur) + blur * (before + after)
    exposure = np.exp(draws.normal(0.28, 0.17))
    x = np.maximum(small * exposure, 1e-4)
    x = x * (1.0 + x * 0.16) / (1.0 + x * 0.45)  # a film's shoulder
    coded = np.clip(1.055 * x ** (1 / 2.4) - 0.055, 0.0, 1.0)
    coded = mix(coded, smoothstep(0.0, 1.0, coded), draws.uniform(0.15, 0.75))  # contrast
    noise = draws.uniform(0.001, 0.006) * draws.grid(side, side, 3)
    coded = np.clip((coded + noise) * 255.0 + 0.5, 0.0, 255.0)
    return np.ascontiguousarray(coded.astype(np.uint8).transpose(0, 2, 3, 1))
