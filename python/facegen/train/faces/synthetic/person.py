"""A batch of people: all that is drawn of them before their pictures are."""

from __future__ import annotations

from dataclasses import dataclass

from facegen.train.faces.synthetic.beard import Beard
from facegen.train.faces.synthetic.draws import Draws
from facegen.train.faces.synthetic.eyes import Eyes
from facegen.train.faces.synthetic.fields import Array
from facegen.train.faces.synthetic.form import Form
from facegen.train.faces.synthetic.glasses import Glasses
from facegen.train.faces.synthetic.hair import Hair
from facegen.train.faces.synthetic.head import Head, Surface, surface
from facegen.train.faces.synthetic.light import Light
from facegen.train.faces.synthetic.mouth import Mouth
from facegen.train.faces.synthetic.scene import Scene
from facegen.train.faces.synthetic.skin import Skin
from facegen.train.faces.synthetic.traits import Traits


@dataclass(frozen=True)
class Person:
    """See above; each part has arrays (n, ...)."""

    traits: Traits
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
            traits,
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
