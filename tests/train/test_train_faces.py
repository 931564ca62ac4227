"""Faces trained on the package's own kernels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facegen import FacegenError, FormatError
from facegen.engine import Runner
from facegen.files import state
from facegen.networks import dcgan
from facegen.nn import lower
from facegen.train import SGD, Pieces, RelativisticPairs, Reports, Trainer
from facegen.train.augment.places import OnHost
from facegen.train.checkpoint import write as write_checkpoint
from facegen.train.faces import discriminator, quality
from facegen.train.faces.adversaries import APART, Adversaries, copies, latents
from facegen.train.faces.data import to_values
from facegen.train.faces.run import train
from facegen.train.faces.settings import FaceSettings
from facegen.train.faces.synthetic import render
from facegen.train.order import Batch, Order
from facegen.train.statistics import measure_statistics

TINY = FaceSettings(
    steps=4, batch=4, seed=1, width=2, penalty_every=2, augmentation="small", statistics=8
)


def discs(count: int) -> np.ndarray:
    """Discs of some colours on others: pictures that are quickly learnt, (n, 64, 64, 3) uint8."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64]
    inside = ((y - 32) ** 2 + (x - 32) ** 2 < 20**2)[None, :, :, None]
    light = random.integers(150, 256, (count, 1, 1, 3))
    dark = random.integers(0, 90, (count, 1, 1, 3))
    return np.where(inside, light, dark).astype(np.uint8)


PIXELS = discs(10)


def run(
    settings: FaceSettings = TINY,
    folder: Path | None = None,
    threads: int = 1,
    pixels: np.ndarray = PIXELS,
    init: dict[str, np.ndarray] | None = None,
    **options: object,
) -> dict[str, np.ndarray]:
    reports = Reports(folder, log_every=2)
    adversaries = Adversaries(pixels, settings, init, threads)
    choices = {"sample_every": 4, "quality_pictures": 8, **options}
    return train(adversaries, pixels, settings, reports, threads=threads, **choices)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def run_of_four_steps(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("run")
    return folder, run(folder=folder)


def assert_same(a: dict[str, np.ndarray], b: dict[str, np.ndarray]) -> None:
    assert a.keys() == b.keys()
    for name in a:
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def test_a_run(run_of_four_steps: tuple[Path, dict]) -> None:
    folder, weights = run_of_four_steps
    entries = list(state.read_lines(folder / "log.jsonl"))
    assert [entry["step"] for entry in entries] == [2, 4]
    assert {"discriminator", "penalised", "generator", "images_per_second"} <= entries[0].keys()
    assert {"swd", "diversity", "nearest"} <= entries[1].keys()
    assert Image.open(folder / "samples-000004.png").size == (512, 512)
    faces = dcgan.Generator(weights, device="cpu").generate([0, 1])
    assert np.isfinite(faces).all() and np.abs(faces[0] - faces[1]).max() > 1e-4


def test_the_threads_and_the_reports_change_nothing(run_of_four_steps: tuple[Path, dict]) -> None:
    assert_same(run(threads=2), run_of_four_steps[1])


def test_another_seed_gives_other_weights(run_of_four_steps: tuple[Path, dict]) -> None:
    other = run(replace(TINY, seed=2))
    assert not np.array_equal(other["tconv1.weight"], run_of_four_steps[1]["tconv1.weight"])


def test_all_that_is_trained_changes() -> None:
    adversaries = Adversaries(PIXELS, TINY, threads=1)
    order = Order(len(PIXELS), TINY.batch, TINY.seed)
    before = {
        name: {k: v.copy() for k, v in part.state_dict().items()}
        for name, part in adversaries.parts.items()
    }
    for step in range(2):
        losses = adversaries.step(adversaries.read(order(step)))
        assert losses.keys() == {"generator", "discriminator" if step % 2 else "penalised"}
        assert all(len(values) == 4 and (values > 0).all() for values in losses.values())
    for part, arrays in before.items():
        for name, array in arrays.items():
            same = np.array_equal(adversaries.parts[part].state_dict()[name], array)
            # Of a bias before a batch norm there is no gradient, but for rounding.
            assert not same or name in (":seed", "proj.bias") or "tconv" in name, f"{part} {name}"


def test_resuming_changes_nothing(tmp_path: Path, run_of_four_steps: tuple[Path, dict]) -> None:
    folder, weights = run_of_four_steps
    with pytest.raises(FacegenError, match="exists"):
        run(folder=folder)
    # As a run that is stopped after two steps leaves it.
    (tmp_path / "whole").mkdir()
    stopped = Adversaries(PIXELS, TINY, threads=1)
    order = Order(len(PIXELS), TINY.batch, TINY.seed)
    for step in range(2):
        stopped.step(stopped.read(order(step)))
    from facegen.train.checkpoint import Place, read
    from facegen.train.log import Means

    settings: dict[str, object] = {}
    path = tmp_path / "checkpoint.safetensors"
    write_checkpoint(path, Place(2, 1.0, False), settings, {**stopped.parts, "log": Means()})
    resumed = Adversaries(PIXELS, TINY, threads=2)
    assert read(path, settings, {**resumed.parts, "log": Means()}).step == 2
    for step in range(2, 4):
        resumed.step(resumed.read(order(step)))
    assert_same(resumed.weights(TINY.statistics), weights)


def test_resuming_something_else(run_of_four_steps: tuple[Path, dict]) -> None:
    folder, weights = run_of_four_steps
    assert_same(run(folder=folder, resume=True), weights)  # nothing is left to do
    with pytest.raises(FormatError, match="was trained with batch 4, not 2"):
        run(replace(TINY, batch=2), folder, resume=True)
    with pytest.raises(FormatError, match="was trained with data"):
        run(folder=folder, pixels=PIXELS[:8], resume=True)


def test_a_process_that_does_not_write(
    tmp_path: Path, run_of_four_steps: tuple[Path, dict]
) -> None:
    """As those of several that train together, but the first: it goes on from what that wrote."""
    folder, weights = run_of_four_steps
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    adversaries = Adversaries(PIXELS, TINY, threads=1)
    found = train(adversaries, PIXELS, TINY, Reports(folder, writes=False), resume=True)
    assert_same(found, weights)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    one = replace(TINY, steps=1)
    train(Adversaries(PIXELS, one, threads=1), PIXELS, one, Reports(tmp_path / "a", writes=False))
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("layers", [0, 2, 4])
def test_frozen_layers_stay(layers: int) -> None:
    init = dcgan.initial_weights(2)
    trained = run(replace(TINY, freeze=layers, steps=2), init=init)
    parts = [("proj", "bn0")] + [(f"tconv{i}", f"bn{i}") for i in range(1, 4)]
    frozen = tuple(f"{name}." for part in parts[:layers] for name in part)
    for name, values in trained.items():
        if name in ("proj.bias", *(f"tconv{i}.bias" for i in range(1, 4))):
            continue  # without a gradient, but for rounding
        assert np.array_equal(values, init[name]) == name.startswith(frozen), name


def test_divergence_ends_the_run() -> None:
    adversaries = Adversaries(PIXELS, TINY, threads=1)
    adversaries.discriminator.weights["score.weight"][...] = np.nan
    with pytest.raises(FacegenError, match="training diverged"):
        train(adversaries, PIXELS, TINY)


def test_settings_are_checked() -> None:
    with pytest.raises(FacegenError, match="augmentation: expected none, small"):
        FaceSettings(augmentation="strong")
    rates = [FaceSettings(steps=100).rate(step) for step in (0, 49, 75, 99)]
    np.testing.assert_allclose(rates, [2e-4, 2e-4, 2e-4 * 0.55, 2e-4 * 0.118])


def test_the_generator_learns_down_the_gradient() -> None:
    """A small step along the gradient, through augmentation, makes the generator's loss smaller."""
    settings = replace(TINY, penalty=0.0, batch=8)
    adversaries = Adversaries(discs(16), settings, threads=1)
    generator, frozen = adversaries.generator, adversaries._frozen_discriminator
    random = np.random.default_rng(5)
    z = latents(8, random)
    change = settings.of_generated.draw(8, random)
    scores = adversaries.discriminator.predict(to_values(discs(8)))["score"]

    def loss() -> tuple[float, np.ndarray]:
        pictures = change(generator.predict(z)["tanh"])
        losses, gradients = frozen.gradients([pictures, -scores], 1.0)
        return float(losses.mean()), change.adjoint(gradients["picture"])

    before, back = loss()
    _, gradients = generator.gradients(z, back)
    length2 = sum(float(np.square(g.astype(float)).sum()) for g in gradients.values())
    step = 1e-3 * before / length2
    for name, gradient in gradients.items():
        generator.weights[name] -= np.float32(step) * gradient
    # To first order the loss falls by step * length2, a thousandth of it.
    assert before - loss()[0] == pytest.approx(1e-3 * before, rel=0.1)


def test_a_run_goes_on_from_its_own_start_alone(tmp_path: Path) -> None:
    run(TINY, tmp_path)
    with pytest.raises(FormatError, match="was trained with start None, not"):
        run(TINY, tmp_path, init=dcgan.initial_weights(3), resume=True)
    learned = discriminator.initial_weights(TINY.width, 5)
    other = Adversaries(PIXELS, TINY, threads=1, discriminator_init=learned)
    assert other.begun_from.keys() == {"discriminator"}
    with pytest.raises(FormatError, match="was trained with discriminator None, not"):
        train(other, PIXELS, TINY, Reports(tmp_path), threads=1, resume=True)


def test_the_penalty_is_the_squared_slope() -> None:
    """The slope itself by gradients in the pictures, at another lead."""
    adversaries = Adversaries(PIXELS, replace(TINY, width=4), threads=1)
    pictures = to_values(discs(2))
    score = adversaries.discriminator.predict
    less, more = adversaries._sides(pictures, APART)
    np.testing.assert_allclose(np.square(more - less).sum(axis=(1, 2, 3)), APART**2, rtol=1e-3)
    rise = (score(more)["score"] - score(less)["score"]).astype(float) / APART
    assert (rise > 0).all()
    # Scores of about 1 are rounded by 1e-7, of 0.01 and more that they differ by; some ReLUs turn.
    np.testing.assert_allclose(rise.ravel() ** 2, squared_slopes(adversaries, pictures), rtol=0.02)


def squared_slopes(adversaries: Adversaries, pictures: np.ndarray) -> np.ndarray:
    """By the gradient in the pictures of BCE with target 0 at a score s: sigmoid(s) slope / n."""
    n = len(pictures)
    lead = adversaries.discriminator.predict(pictures)["score"].astype(float)
    zeros = np.zeros((n, 1, 1, 1), np.float32)
    _, gradients = adversaries._frozen_discriminator.gradients([pictures, zeros], 0.0)
    slopes = gradients["picture"] * n * (1 + np.exp(-lead))
    squares: np.ndarray = np.square(slopes).sum(axis=(1, 2, 3))
    return squares


def test_the_penalty_teaches_the_squared_slope() -> None:
    """Its gradient in the weights, of both kinds of pictures, where the slope's is known."""
    settings = replace(TINY, width=4, penalty=3.0, penalty_every=2)
    adversaries = Adversaries(PIXELS, settings, threads=1)
    real = to_values(discs(4))
    fake = np.random.default_rng(0).uniform(-1, 1, real.shape).astype(np.float32)
    (less, more), (fake_less, fake_more) = (adversaries._sides(x, APART) for x in (real, fake))
    weights = adversaries.discriminator.weights

    def gradient(loss: RelativisticPairs, pieces: Pieces) -> dict[str, np.ndarray]:
        rate = 1e-4
        trainer = Trainer(
            discriminator.graph(4), loss, SGD(rate=rate), weights=copies(weights), threads=1
        )
        trainer.step(pieces)
        return {k: (weights[k].astype(float) - trainer.weights[k]) / rate for k in weights}

    shown = Pieces([less, fake_less, more, fake_more], interleaved=True)
    loss = RelativisticPairs(penalty=3.0 / 2 * 2 / APART**2)
    alone = Trainer(discriminator.graph(4), loss, SGD(rate=0), weights=weights, threads=1)
    assert adversaries._penalised is not None
    losses, _ = adversaries._penalised.trainer.find(shown)
    np.testing.assert_array_equal(losses, alone.find(shown)[0])
    fours = gradient(loss, shown)
    pairs = gradient(RelativisticPairs(), Pieces([less, fake_less], interleaved=True))
    found = {name: fours[name] - pairs[name] for name in weights}
    slopes = squared_slopes(adversaries, real).mean() + squared_slopes(adversaries, fake).mean()
    for layer in ("first", "mix", "hidden", "score"):
        # Twice the layer's weights are twice the slope, as leaky ReLUs and biases of 0 have it.
        along = (found[f"{layer}.weight"] * weights[f"{layer}.weight"]).sum()
        assert along == pytest.approx(2 * 3.0 / 2 * 2 * slopes, rel=0.05), layer


def test_statistics_are_those_of_the_maps() -> None:
    weights = dcgan.initial_weights(3)
    weights["bn0.mean"][...] = 7.0
    inputs = latents(64, np.random.default_rng(0))
    measured = measure_statistics(
        dcgan.graph(), weights, lambda: [inputs[:50], inputs[50:]], {"bn3"}, threads=1
    )
    maps = inputs.reshape(64, 100).astype(float) @ weights["proj.weight"].T.astype(float)
    maps = (maps + weights["proj.bias"]).reshape(-1, 512)
    np.testing.assert_allclose(measured["bn0.mean"], maps.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(measured["bn0.var"], maps.var(axis=0), rtol=1e-4)
    np.testing.assert_array_equal(measured["bn3.var"], weights["bn3.var"])
    # Norms of what is measured so make numbers of mean 0 and variance 1, times gamma, plus beta.
    again = measure_statistics(dcgan.graph(), measured, lambda: [inputs], {"bn3"}, threads=1)
    for name, values in again.items():
        np.testing.assert_allclose(values, measured[name], rtol=1e-3, atol=1e-4, err_msg=name)


def test_the_average() -> None:
    """Early it reaches back by a twentieth of the run so far, and then by the half life."""
    decay = FaceSettings(average=100, batch=20).decay
    np.testing.assert_allclose(decay(0), 0.5 ** (20 / 1))
    np.testing.assert_allclose(decay(49), 0.5 ** (20 / 50))  # of 1,000 images
    np.testing.assert_allclose([decay(99), decay(10_000)], 0.5 ** (20 / 100))


def test_the_result_is_the_average() -> None:
    adversaries = Adversaries(PIXELS, TINY, threads=1)
    order, decay = Order(len(PIXELS), TINY.batch, TINY.seed), TINY.decay
    name = "tconv1.weight"
    expected = adversaries.generator.weights[name].astype(np.float64)
    for step in range(3):
        adversaries.step(adversaries.read(order(step)))
        now = adversaries.generator.weights[name]
        expected = decay(step) * expected + (1 - decay(step)) * now
    result = adversaries.weights(8)[name]
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-8)
    assert np.abs(result - now).max() > 1e-5


def test_a_penalty_that_falls() -> None:
    """Pictures by which slopes are told are less apart then, and nothing else changes."""
    falling = FaceSettings(steps=100, penalty=2.0, penalty_end=0.5)
    weights = [falling.penalty_at(step) for step in (0, 50, 100)]
    np.testing.assert_allclose(weights, [2, 1.25, 0.5])
    assert FaceSettings(steps=100, penalty=3.0).penalty_at(50) == 3
    rising = FaceSettings(steps=100, penalty=0.0, penalty_end=4.0)
    assert rising.most_penalty == rising.penalty_at(100) == 4 and rising.penalty_at(0) == 0
    order = Order(len(PIXELS), TINY.batch, TINY.seed)
    last = replace(TINY, steps=3, penalty_end=TINY.penalty / 4)
    kept, fallen = (Adversaries(PIXELS, each, threads=1).read(order(2)) for each in (TINY, last))
    share = last.penalty_at(2) / last.penalty
    assert 0.25 < share < 0.75
    assert fallen.apart == pytest.approx(np.sqrt(share) * APART) and kept.apart == APART
    np.testing.assert_array_equal(fallen.z, kept.z)
    np.testing.assert_array_equal(fallen.real, kept.real)


def test_faces_of_128() -> None:
    pixels = PIXELS.repeat(2, axis=1).repeat(2, axis=2)
    weights = run(replace(TINY, steps=1, batch=2), pixels=pixels)
    assert {name: values.shape for name, values in weights.items()} == dcgan.DCGAN_128.shapes
    faces = dcgan.Generator(weights, device="cpu").generate([0])
    assert faces.shape == (1, 128, 128, 3) and np.isfinite(faces).all()


def test_the_discriminator_is_a_graph_that_runs() -> None:
    graph = discriminator.graph(4)
    runner = Runner(lower(graph, discriminator.initial_weights(4, 0)), "cpu", 1)
    scores = runner(to_values(PIXELS))
    assert scores.shape == (10, 1, 1, 1) and 0.01 < np.abs(scores).mean() < 10


@pytest.mark.cuda
def test_pictures_that_stay_on_the_gpu_are_those_of_the_host() -> None:
    """To the bit where nothing is changed; changed pictures part by the rounding of colours.

    And the networks by steps of Adam, 2e-4 either way where a gradient is about 0.
    """
    for augmentation, near in (("none", 0.0), ("small", 1e-2)):
        settings = FaceSettings(
            steps=4, batch=4, width=2, penalty_every=2, augmentation=augmentation, flip=True
        )
        here, there = (Adversaries(PIXELS, settings, None, 1, device="cuda") for _ in range(2))
        here._place = here._ahead = OnHost(1)
        for step in range(3):
            expected, found = (
                each.step(each.read(Batch(7, step, 0, step, np.arange(4) + step)))
                for each in (here, there)
            )
            assert found.keys() == expected.keys()
            for name, losses in expected.items():
                np.testing.assert_allclose(found[name], losses, rtol=near, err_msg=name)


@pytest.mark.slow
def test_training_learns(tmp_path: Path) -> None:
    """On 2,000 rendered faces, in some minutes of two processors: a larger run fell to a third."""
    pixels = render(1, range(2000))
    settings = FaceSettings(
        steps=600, batch=16, width=16, augmentation="none", statistics=256, average=2000,
        learning_rate=4e-4,
    )  # fmt: skip
    run(settings, tmp_path, 2, pixels, sample_every=200, quality_pictures=500)
    entries = list(state.read_lines(tmp_path / "log.jsonl"))
    measured = [entry["swd"] for entry in entries if "swd" in entry]
    untrained = Adversaries(pixels, settings, threads=2).weights(256)
    fake = dcgan.Generator(untrained, device="cpu").generate(range(500))
    before = quality.measure(to_values(pixels[:500]), fake)["swd"]
    assert measured[-1] < before / 2
