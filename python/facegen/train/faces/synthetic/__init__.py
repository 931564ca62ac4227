"""Synthetic faces: small portraits drawn from parameters, with no outside data.

A person is drawn first: sex, age, pigments, and from these, correlated as in life, everything
else (:mod:`.traits`, then each part's own ``draw``). The head is a dome whose pose says where on
the face each pixel lies (:mod:`.head`); the face's relief bends the dome's normals
(:mod:`.form`); skin, mouth, eyes, beard, hair and glasses are smooth masks in the face's own
coordinates; one lamp and the sky light it all (:mod:`.light`); and a small camera reduces,
exposes (:mod:`.portrait`). What was drawn of each person is its label (:mod:`.labels`). The style
is an illustration's: large eyes, few and clear shapes, warm walls. Plain NumPy, a batch at a time.

>>> faces = render(seed=0, indices=range(8))     # uint8 (8, 64, 64, 3)

``python -m facegen.train.faces.synthetic --grid 12x8 --seed 0 -o faces.png`` draws a picture of
them, ``--count 200000 -o faces.npy`` a training set,
``--labels labels.npy`` with its labels and ``--side 128`` of larger pictures.
"""

from facegen.train.faces.synthetic.portrait import SIZE, Portraits, render, render_labelled

__all__ = ["SIZE", "Portraits", "render", "render_labelled"]
