"""The picture: people drawn, lit, laid over each other from back to front, and photographed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from facegen.train.faces.synthetic.beard import beard_cover
from facegen.train.faces.synthetic.draws import Draws
from facegen.train.faces.synthetic.eyes import catchlight, eye_shape, paint_brows, paint_eyes
from facegen.train.faces.synthetic.fields import (
    Array,
    colour,
    mix,
    slope,
    smoothstep,
    spot,
    stretch,
)
from facegen.train.faces.synthetic.form import relief
from facegen.train.faces.synthetic.glasses import paint_glasses
from facegen.train.faces.synthetic.hair import hair_shape, shade_hair
from facegen.train.faces.synthetic.labels import labels
from facegen.train.faces.synthetic.light import diffuse, gloss, normals
from facegen.train.faces.synthetic.mouth import lips, paint_mouth
from facegen.train.faces.synthetic.person import Person
from facegen.train.faces.synthetic.scene import background, clothes, ears, neck
from facegen.train.faces.synthetic.skin import skin_albedo

SIZE = 64
OVERSAMPLING = 2


class Portraits(NamedTuple):
    """Faces and what is known of them."""

    pixels: NDArray[np.uint8]
    """(n, side, side, 3), sRGB."""
    labels: NDArray[np.void]
    """(n,), as `labels.labels` has them."""


def render(seed: int, indices: Sequence[int], side: int = SIZE) -> NDArray[np.uint8]:
    """Draw faces: the pixels of `render_labelled`."""
    return render_labelled(seed, indices, side).pixels


def render_labelled(seed: int, indices: Sequence[int], side: int = SIZE) -> Portraits:
    """Draw faces.

    Parameters
    ----------
    seed
        Which world of faces.
    indices
        Which faces of it, each >= 0. A face depends on its seed, index and side alone.
    side
        Of the pictures, in pixels.
    """
    draws = Draws(seed, indices)
    person = Person.draw(draws)
    canvas = _paint(person, side * OVERSAMPLING)
    return Portraits(_photograph(canvas, draws, side), labels(person))


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
    blur = draws.uniform(0.0, 0.03)
    for axis in (2, 3):
        padded = np.pad(small, [(1, 1) if k == axis else (0, 0) for k in range(4)], mode="edge")
        before = padded.take(range(side), axis)
        after = padded.take(range(2, side + 2), axis)
        small = small * (1.0 - 2.0 * blur) + blur * (before + after)
    exposure = np.exp(draws.normal(0.34, 0.12))
    x = np.maximum(small * exposure, 1e-4)
    x = x * (1.0 + x * 0.16) / (1.0 + x * 0.45)  # a film's shoulder
    coded = np.clip(1.055 * x ** (1 / 2.4) - 0.055, 0.0, 1.0)
    coded = mix(coded, smoothstep(0.0, 1.0, coded), draws.uniform(0.15, 0.5))  # contrast
    coded = np.clip(coded * 255.0 + 0.5, 0.0, 255.0)
    return np.ascontiguousarray(coded.astype(np.uint8).transpose(0, 2, 3, 1))
