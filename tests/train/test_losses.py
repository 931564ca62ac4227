"""Losses of several outputs, gradients from and to elsewhere, and networks that are joined."""

from __future__ import annotations

import doctest
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from facegen import nn, train
from facegen.engine import Runner
from facegen.errors import FacegenError
from facegen.networks import lenet
from facegen.nn import Graph, Shape

RANDOM = np.random.default_rng(0)


def test_examples() -> None:
    result = doctest.testmod(import_module("facegen.train.join"))
    assert result.failed == 0 < result.attempted


def test_networks_that_do_not_join() -> None:
    with pytest.raises(ValueError, match="lenet gives 1x1x10, but lenet takes 28x28x1"):
        train.join(lenet.graph(), lenet.graph())
    generator, judge = drawing_to_picture(), judge_of_pairs()
    for given, message in (
        ({"pair": "drawing"}, "generator gives 4x4x1, but judge takes 4x4x4"),
        ({"pair": ("drawing", "photo")}, "generator has no layer named 'photo'"),
        ({"image": "picture"}, "judge has no input named 'image'"),
        (None, "generator gives 4x4x3, but judge takes 4x4x4"),
    ):
        with pytest.raises(ValueError, match=message):
            train.join(generator, judge, given=given)
    with pytest.raises(ValueError, match="has no layer named 'no'"):
        train.join(generator, judge, given={"pair": ("drawing", "picture")}, outputs=["no"])


def drawing_to_picture() -> nn.Graph:
    graph = nn.Graph("generator")
    y = graph.input("drawing", Shape(4, 4, 1))
    y = graph.add("g1", nn.Conv2d(1, 8, 3, padding=1), y)
    y = graph.add("g1.norm", nn.InstanceNorm(8), y)
    y = graph.add("g1.relu", nn.ReLU(), y)
    y = graph.add("g2", nn.Conv2d(8, 3, 1), y)
    graph.output(graph.add("picture", nn.Tanh(), y))
    return graph


def judge_of_pairs() -> nn.Graph:
    graph = nn.Graph("judge")
    y = graph.input("pair", Shape(4, 4, 4))
    y = graph.add("d1", nn.Conv2d(4, 8, 2), y)
    y = graph.add("d1.leaky", nn.LeakyReLU(0.2), y)
    graph.output(graph.add("score", nn.Conv2d(8, 1, 2), y))
    return graph


def test_two_losses_of_two_outputs() -> None:
    """A picture is compared with another, and goes on through a frozen judge: as in pix2pix."""
    generator, judge = drawing_to_picture(), judge_of_pairs()
    given = {"pair": ("drawing", "picture")}
    joined = train.join(generator, judge, given=given, outputs=("picture", "score"))
    frozen = ["d1", "score"]
    both = {"picture": train.L1(weight=10.0), "score": train.BinaryCrossEntropy()}
    options: dict[str, Any] = {"optimizer": train.Adam(rate=1e-2), "frozen": frozen, "seed": 1}
    trainer = train.Trainer(joined, both, **options)
    x = RANDOM.standard_normal((9, 4, 4, 1)).astype(np.float32)
    y = np.tanh(RANDOM.standard_normal((9, 4, 4, 3)))
    targets = {"score": 1.0, "picture": y}
    losses, gradients = trainer.gradients(x, targets)
    assert {name.split(".")[0] for name in gradients} == {"g1", "g2"}
    np.testing.assert_array_equal(
        losses, 10 * trainer.losses["picture"] + trainer.losses["score"]
    )
    np.testing.assert_array_equal(losses, trainer.gradients(x, [y, 1.0])[0])
    parts = [
        train.Trainer(joined, {name: both[name]}, **options).gradients(x, targets[name])[1]
        for name in both
    ]
    largest = max(np.abs(gradient).max() for gradient in gradients.values())
    for name, gradient in gradients.items():
        expected = parts[0][name] + parts[1][name]
        np.testing.assert_allclose(gradient, expected, atol=1e-6 * largest, err_msg=name)

    first = [trainer.step(x, targets).mean() for _ in range(30)]
    assert first[-1] < 0.85 * first[0]
    table = str(trainer.program)
    assert "10 l1 of picture" in table and "binary cross entropy of score" in table
    for wrong, message in (
        ({"score": 1.0}, "targets: expected those of picture, score, found score"),
        ([y], r"targets: expected 2 \(picture, score\), found 1"),
        ([y[:, :3], 1.0], r"targets of picture: expected shape \(9, 4, 4, 3\), or what spreads"),
    ):
        with pytest.raises(ValueError, match=message):
            trainer.step(x, wrong)
    for loss, message in (
        ("l1", r"has 2 outputs \(picture, score\): losses must be given by their names"),
        ({"pair": "l1"}, "no output named 'pair', but: picture, score"),
        ({}, "no loss for any of the outputs"),
        ({"score": "hinge"}, "unknown loss 'hinge'"),
    ):
        with pytest.raises(ValueError, match=message):
            train.Trainer(joined, loss, **options)


def test_a_gradient_from_elsewhere() -> None:
    """Two trainers, the first's gradient in its input given to the second, are one of both."""
    generator, judge = drawing_to_picture(), judge_of_pairs()
    given, frozen = {"pair": ("drawing", "picture")}, ["d1", "score"]
    joined = train.join(generator, judge, given=given)
    still = train.SGD(rate=0)
    whole = train.Trainer(joined, "binary_cross_entropy", still, frozen=frozen, seed=3)
    x = RANDOM.standard_normal((10, 4, 4, 1)).astype(np.float32)
    _, expected = whole.gradients(x, 1.0)

    of_judge = {name: whole.weights[name] for name in judge.parameters}
    of_generator = {name: whole.weights[name] for name in generator.parameters}
    picture = Runner(nn.lower(generator, of_generator), "cpu")(x)
    judging = train.Trainer(
        judge, "binary_cross_entropy", still, weights=of_judge, frozen=frozen, inputs=["pair"]
    )
    losses, gradients = judging.gradients(np.concatenate([x, picture], axis=3), 1.0)
    assert list(gradients) == ["pair"] and losses.shape == (10,)
    learning = train.Trainer(generator, "given", still, weights=of_generator)
    losses, found = learning.gradients(x, gradients["pair"][..., 1:])
    largest = max(np.abs(gradient).max() for gradient in expected.values())
    for name, gradient in found.items():
        np.testing.assert_allclose(gradient, expected[name], atol=1e-6 * largest, err_msg=name)
    product = (picture * gradients["pair"][..., 1:]).sum()
    assert losses.mean() == pytest.approx(product, abs=1e-7)


def test_a_picture_is_projected_to_what_makes_it() -> None:
    graph = nn.Graph("decoder")
    y = graph.add("a", nn.Linear(3, 12), graph.input("z", Shape(1, 1, 3)))
    graph.output(graph.add("tanh", nn.Tanh(), y))
    trainer = train.Trainer(
        graph, "l2", train.SGD(rate=0), frozen=["a"], inputs=["z"], threads=2, seed=2
    )
    wanted = RANDOM.standard_normal((12, 1, 1, 3)).astype(np.float32)
    pictures = Runner(nn.lower(graph, trainer.weights), "cpu")(wanted)
    z = np.zeros_like(wanted)
    for _ in range(300):
        losses, gradients = trainer.gradients(z, pictures)
        z -= 12 * gradients["z"]  # of 12 images' mean
    assert losses.max() < 1e-6 and np.abs(z - wanted).max() < 0.05
    with pytest.raises(ValueError, match="decoder has no input named 'y'"):
        train.Trainer(graph, "l2", train.SGD(rate=0), inputs=["y"])
    with pytest.raises(FacegenError, match="target 0 has a number that is not finite, in image 1"):
        trainer.gradients(z[:2], np.reshape([0.0, np.nan], (2, 1, 1, 1)))


def test_pairs() -> None:
    """Real images come to score above generated ones; moved a little, they score alike."""
    graph = nn.Graph("judge")
    y = graph.add("a", nn.Conv2d(1, 8, 3), graph.input("image", Shape(4, 4, 1)))
    y = graph.add("b", nn.Conv2d(8, 1, 2), graph.add("leaky", nn.LeakyReLU(0.2), y))
    graph.output(y)
    trainer = train.Trainer(graph, train.RelativisticPairs(penalty=0.5), train.Adam(rate=1e-2))
    random = np.random.default_rng(0)

    def batch(groups: int) -> np.ndarray:
        pairs = random.standard_normal((groups, 1, 2, 4, 4, 1)) + np.reshape([1, -1], (2, 1, 1, 1))
        noisy = pairs + 0.1 * random.standard_normal(pairs.shape)
        return np.concatenate([pairs, noisy], axis=1).reshape(-1, 4, 4, 1).astype(np.float32)

    losses = [trainer.step(batch(8)) for _ in range(60)]
    assert losses[-1].mean() < 0.2 < 0.5 < losses[0].mean()
    assert np.array_equal(losses[0][0::4], losses[0][3::4])  # a group's
    for images in (1, 2, 6):
        with pytest.raises(ValueError, match=f"groups of 4 images, not {images} images"):
            trainer.step(batch(2)[:images])
    with pytest.raises(ValueError, match="trained without targets, but found some"):
        trainer.step(batch(1), 1.0)
    with pytest.raises(ValueError, match="the generator's side of RelativisticPairs has no pen"):
        train.RelativisticPairs(penalty=1.0, generator=True)
    with pytest.raises(ValueError, match="penalty of a loss must be finite, and 0 or more, not -1"):
        train.RelativisticPairs(penalty=-1)


def test_distributions() -> None:
    """One-hot targets are labels, and a weight of the class may be in them."""
    x = RANDOM.random((9, 28, 28, 1), np.float32)
    labels = RANDOM.integers(0, 10, 9)
    one_hot = np.eye(10)[labels].reshape(9, 1, 1, 10)
    hard, soft = (
        train.Trainer(lenet.graph(), loss, train.SGD(rate=0.1), seed=7)
        for loss in ("cross_entropy", "soft_cross_entropy")
    )
    expected = hard.gradients(x, labels)
    losses, gradients = soft.gradients(x, one_hot)
    np.testing.assert_allclose(losses, expected[0], rtol=1e-14)
    for name, gradient in gradients.items():
        largest = np.abs(gradient).max()
        np.testing.assert_allclose(gradient, expected[1][name], atol=1e-6 * largest, err_msg=name)
    twice, _ = soft.gradients(x, 2 * one_hot)
    np.testing.assert_array_equal(twice, 2 * losses)
    with pytest.raises(ValueError, match=r"targets: expected 0 or more, found -0.5"):
        soft.step(x, one_hot - 0.5)


def two_ends(kind: str) -> Graph:
    """A linear layer, with a head that has a loss and a branch that has none."""
    g = Graph("two")
    x = g.add("fc", nn.Linear(4, 3), g.input("image", Shape(1, 1, 4)))
    if kind == "softmax":
        g.output(g.add("end", nn.Softmax(), x))
        return g
    g.output(g.add("a", nn.Linear(3, 2), x))
    y = g.add("branch", nn.Linear(3, 2), x)
    g.output(g.add("end", nn.Tanh(), y) if kind == "tanh" else g.add("end", nn.Linear(2, 2), y))
    return g


@pytest.mark.parametrize("kind", ["softmax", "tanh", "linear"])
def test_an_output_that_no_loss_depends_on_has_no_gradient(kind: str) -> None:
    """It is shown alone: gradients are as without it, and its layers stay as they are."""
    random = np.random.default_rng(0)
    x = random.random((9, 1, 1, 4), np.float32)
    loss, y = {"a": "l2"}, np.ones((9, 1, 1, 2), np.float32)
    if kind == "softmax":
        loss, y = {"end": "cross_entropy"}, np.arange(9) % 3
    adam = train.Adam(rate=0.1, average=0.9)
    plain, shown = (
        train.Trainer(two_ends(kind), loss, adam, threads=1, seed=1, outputs=outputs)
        for outputs in ((), ("end",))
    )
    expected, found = (trainer.gradients(x, y)[1] for trainer in (plain, shown))
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        np.testing.assert_array_equal(found[name], gradient)
    before = {name: array.copy() for name, array in shown.weights.items()}
    shown.step(x, y)
    assert shown.output("end").shape[0] == 9
    for name, array in shown.weights.items():
        stays = name.startswith(("branch", "end"))
        assert np.array_equal(array, before[name]) == stays, name
