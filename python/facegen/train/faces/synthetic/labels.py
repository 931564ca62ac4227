"""Labels: what of a person a picture shows, as numbers, for whoever learns to tell or to change it.

They are parameters of the renderer, so nobody had to look at the pictures. Each is 0 to 1, or -1
to 1 where it has two directions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from facegen.train.faces.synthetic.fields import Array
from facegen.train.faces.synthetic.person import Person

_LUMINANCE = np.array([0.2126, 0.7152, 0.0722], np.float32).reshape(1, 3, 1, 1)
_DARKEST, _LIGHTEST = 0.008, 0.40  # luminance of hair, linear


def _luminance(colours: Array) -> Array:
    return (colours * _LUMINANCE).sum(axis=1)


def labels(person: Person) -> NDArray[np.void]:
    """One record a person, (n,), of float32 fields.

    Names
    -----
    smile
        -0.3 sad .. 1 laughing.
    glasses
        0 or 1.
    beard
        0 shaved .. 1 a full beard.
    masculine, age
        0 .. 1; 0 is a young adult.
    hair_length
        0 short .. 1 below the shoulders; bald is 0.
    hair_light
        0 black .. 1 white, even in what the eye sees.
    curls, fringe
        0 .. 1.
    skin
        0 the lightest .. 1 the darkest.
    turn
        -1 .. 1, in half radians: to which side the nose points in the picture.
    light
        -1 from the left .. 1 from the right.
    backdrop
        0 dark .. 1 light.
    """
    p = person
    hair = np.log(_luminance(p.hair.colour) / _DARKEST) / np.log(_LIGHTEST / _DARKEST)
    values = {
        "smile": p.form.smile,
        "glasses": p.glasses.worn,
        "beard": (p.beard.cheeks + p.beard.chin + p.beard.lip) / 3,
        "masculine": p.traits.male,
        "age": p.traits.age,
        "hair_length": np.clip(p.hair.length / 1.4, 0, 1) * (1 - p.hair.bald),
        "hair_light": np.clip(hair, 0, 1),
        "curls": p.hair.curl * (1 - p.hair.bald),
        "fringe": p.hair.fringe,
        "skin": p.traits.melanin,
        "turn": 2 * p.head.yaw,
        "light": p.light.x,
        "backdrop": np.clip(np.sqrt(_luminance(p.scene.backdrop)), 0, 1),
    }
    fields = [(name, np.float32) for name in values]
    result = np.empty(len(p.form.smile), fields)
    for name, value in values.items():
        result[name] = value.reshape(len(result))
    return result
