# %% [markdown]
# # Augmentation and transfer learning
#
# What to do with few pictures: show each of them in many ways, and begin with what another network has learned. On
# facegen's own kernels, forward and backward.

# %%
import matplotlib.pyplot as plt
import numpy as np

import facegen
from facegen import train
from facegen.engine import Runner
from facegen.nn import (
    Conv2d,
    GlobalAvgPool2d,
    Graph,
    Linear,
    MaxPool2d,
    ReLU,
    Shape,
    Softmax,
    lower,
)
from facegen.train import augment

random = np.random.default_rng(1)

# %% [markdown]
# ## The kinds
#
# Pictures are (n, height, width, 3), -1 to 1; each kind is a function of them and of how much each is changed (angles in degrees).
# Here of one face, which the package's own network makes.

# %%
face = facegen.Generator(device="cpu").generate(seeds=[3])
still = np.zeros(1)
kinds = {
    "as it is": face,
    "flip": augment.horizontal_flip(face, [True]),
    "rotation": augment.warp(face, augment.rotation([15])),
    "translation": augment.warp(face, augment.translation([0.25], still)),
    "stretch": augment.warp(face, augment.stretch([1.3], [1.0])),
    "shear": augment.warp(face, augment.shear([15])),
    "brightness": augment.brightness(face, [0.4]),
    "contrast": augment.contrast(face, [0.5]),
    "saturation": augment.saturation(face, [2.0]),
    "hue": augment.hue(face, [60]),
    "PCA jitter": augment.pca_jitter(face, [[0.5, -0.3, 0.2]], augment.colour_axes(face)),
    "cutout": augment.cutout(face, [0.5], [0.4], 0.3),
}
figure, axes = plt.subplots(2, 6, figsize=(9, 3.4), layout="constrained")
for axis, (name, picture) in zip(axes.flat, kinds.items(), strict=True):
    axis.imshow(np.clip((picture[0] + 1) / 2, 0, 1))
    axis.set_title(name, fontsize=9)
    axis.axis("off")

# %% [markdown]
# ## A task with few pictures
#
# Small drawings of four shapes, at any place, size and shade, with noise. The network is three convolutions and a
# linear layer.

# %%
SIDE = 24
SHAPES = ("disc", "square", "ring", "cross", "bar", "triangle")


def draw(shape):
    """(24, 24, 3): one drawing of a shape."""
    size = random.uniform(5, 9)
    x0, y0 = random.uniform(size, SIDE - size, 2)
    y, x = np.mgrid[:SIDE, :SIDE]
    u, v = x - x0, y - y0
    radius, largest = np.hypot(u, v), np.maximum(abs(u), abs(v))
    inside = {
        "disc": radius < size,
        "square": largest < 0.85 * size,
        "ring": (radius < size) & (radius > 0.55 * size),
        "cross": (largest < size) & (np.minimum(abs(u), abs(v)) < 0.3 * size),
        "bar": (abs(u) < size) & (abs(v) < 0.35 * size),
        "triangle": (v > -size) & (v < 0.8 * size) & (abs(u) < (v + size) / 1.8),
    }[shape]
    ink, paper = random.uniform(0.2, 1), random.uniform(-1, -0.2)
    grey = np.where(inside, ink, paper) + random.normal(0, 0.25, (SIDE, SIDE))
    return np.repeat(grey[:, :, np.newaxis], 3, 2).astype(np.float32)


def pictures_of(shapes, each):
    labels = np.repeat(np.arange(len(shapes)), each).astype(np.int32)
    return np.stack([draw(shapes[label]) for label in labels]), labels


def network(classes):
    g = Graph("shapes")
    x = g.input("picture", Shape(SIDE, SIDE, 3))
    for i, (before, after) in enumerate(((3, 16), (16, 32), (32, 32)), start=1):
        x = g.add(f"conv{i}", Conv2d(before, after, 3, padding=1), x)
        x = g.add(f"relu{i}", ReLU(), x)
        x = g.add(f"pool{i}", MaxPool2d(2), x) if i < 3 else g.add("pool3", GlobalAvgPool2d(), x)
    x = g.add("head", Linear(32, classes), x)
    g.output(g.add("scores", Softmax(), x))
    return g


def accuracy(graph, weights, x, labels):
    runner = Runner(lower(graph, weights), "cpu")
    return float(np.mean(runner(x).reshape(len(x), -1).argmax(1) == labels))


def learn(classes, x, labels, steps, start=None, frozen=(), rate=3e-3, change=None):
    """Weights after so many steps of batches of at most 32."""
    graph = network(classes)
    fresh = train.Trainer(graph, "cross_entropy", train.Adam(rate=rate), seed=1).weights
    given = {name: values.copy() for name, values in (start or {}).items() if "head" not in name}
    trainer = train.Trainer(
        graph, "cross_entropy", train.Adam(rate=rate), weights={**fresh, **given}, frozen=frozen
    )
    for _ in range(steps):
        chosen = random.choice(len(x), min(32, len(x)), replace=False)
        batch = x[chosen] if change is None else change(x[chosen])
        trainer.step(batch, labels[chosen])
    return graph, trainer.weights


# %% [markdown]
# Eight pictures of each of four shapes, with and without augmentation; 400 others to see how much was learned.

# %%
x, labels = pictures_of(SHAPES[:4], 8)
unseen, answers = pictures_of(SHAPES[:4], 100)


def changed(batch):
    """Each picture flipped, moved and resized at random."""
    n = len(batch)
    batch = augment.horizontal_flip(batch, random.random(n) < 0.5)
    moved = augment.translation(random.uniform(-0.2, 0.2, n), random.uniform(-0.2, 0.2, n))
    sized = augment.scaling(random.uniform(0.8, 1.25, n))
    return augment.warp(augment.warp(batch, moved), sized)


results = {}
for name, change in (("as they are", None), ("augmented", changed)):
    graph, weights = learn(4, x, labels, 150, change=change)
    results[name] = accuracy(graph, weights, x, labels), accuracy(graph, weights, unseen, answers)
    print(
        f"{name:12}: {results[name][0]:4.0%} of those it learned from, {results[name][1]:4.0%} of others"
    )

# %% [markdown]
# ## Transfer
#
# A network that has learned four shapes from many pictures meets two new ones, with four pictures of each. Its
# first convolutions know edges and corners; the last layer has to be new, and perhaps the last convolution, whose
# features were made for other shapes. Frozen layers cost nothing: behind them no gradient is computed.

# %%
many, many_labels = pictures_of(SHAPES[:4], 150)
graph, known = learn(4, many, many_labels, 200)
print(f"four shapes, 600 pictures: {accuracy(graph, known, unseen, answers):.0%} of others")

few, few_labels = pictures_of(SHAPES[4:], 4)
new, new_answers = pictures_of(SHAPES[4:], 150)
front = ("conv1", "conv2", "conv3")
ways = {
    "from nothing": {},
    "head alone": {"start": known, "frozen": front},
    "head and last convolution": {"start": known, "frozen": front[:2]},
    "all layers": {"start": known, "rate": 1e-3},
}
transfer = {}
for name, options in ways.items():
    graph, weights = learn(2, few, few_labels, 100, **options)
    transfer[name] = accuracy(graph, weights, new, new_answers)
    print(f"{name:26}: {transfer[name]:.0%} of 300 others, from 8 pictures")

figure, axis = plt.subplots(figsize=(6, 2.6), layout="constrained")
axis.barh(list(transfer), list(transfer.values()))
axis.set(xlim=(0.4, 1), xlabel="right, of 300 unseen pictures of two new shapes")
axis.invert_yaxis()

# %% [markdown]
# ## Many crops, one answer
#
# When the network is used, the mean over several crops (and their mirror images) is often a little surer than one:
# where a crop may miss something. These shapes are in every crop whole or nearly so; see what it gains here.

# %%
runner = Runner(lower(network(4), known), "cpu")


def classify(batch):
    return runner(np.ascontiguousarray(batch, np.float32)).reshape(len(batch), -1)


padded = np.pad(unseen, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
crops = augment.multi_crop(padded, SIDE)
print("crops of a picture:", crops.shape)
averaged = augment.average_over_crops(classify, padded, SIDE).argmax(1)
print(
    f"one crop {np.mean(classify(unseen).argmax(1) == answers):.1%}, averaged {np.mean(averaged == answers):.1%}"
)

# %% [markdown]
# To go on: `facegen train classifier` does this with pictures of your own (docs/training-classes.md).
