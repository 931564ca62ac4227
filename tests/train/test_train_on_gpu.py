"""Trainers on a GPU: as on the CPU, but for rounding; their arrays are copies there."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bench.training.cases import discriminator
from facegen import nn, train
from facegen.engine.cuda import why_no_cuda
from facegen.errors import DeviceError
from facegen.networks import lenet
from facegen.nn import Graph, Shape
from facegen.train.step_engine import Outcome, Steps

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.random((24, 28, 28, 1), np.float32)
LABELS = RANDOM.integers(0, 10, 24)


def lenet_trainer(device: str = "cuda", **options) -> train.Trainer:
    choices = {
        "loss": "cross_entropy",
        "optimizer": train.Adam(rate=1e-3, average=0.9),
        "dropout": {"relu3": 0.4},
        "threads": 2,
        "seed": 7,
        **options,
    }
    return train.Trainer(lenet.graph(), device=device, **choices)


def mobile() -> Graph:
    """An inverted residual with squeeze and excite, a shuffled block, a head of larger pixels."""
    g = Graph("mobile")
    x = g.add("stem", nn.Conv2d(3, 16, 3, stride=2, padding=1), g.input("image", Shape(32, 32, 3)))
    y = g.add("wide", nn.HardSwish(), g.add("widen", nn.Conv2d(16, 48, 1), x))
    y = g.add("depthwise", nn.Conv2d(48, 48, 5, padding=2, groups=48, bias=False), y)
    y = g.add("relu6", nn.Clip(0, 6), g.add("norm", nn.BatchNorm(48), y))
    gate = g.add("squeeze", nn.Conv2d(48, 12, 1), g.add("mean", nn.GlobalAvgPool2d(), y))
    gate = g.add("excite", nn.Conv2d(12, 48, 1), g.add("relu", nn.ReLU(), gate))
    y = g.add("scaled", nn.Mul(), y, g.add("gate", nn.HardSigmoid(), gate))
    x = g.add("add", nn.Add(), x, g.add("narrow", nn.Conv2d(48, 16, 1), y))
    y = g.add("grouped", nn.Conv2d(16, 24, 1, groups=2), x)
    y = g.add("mixed", nn.ChannelShuffle(2), y)
    y = g.add("halves", nn.Conv2d(24, 24, 3, stride=2, padding=1, groups=24), y)
    y = g.add("prelu", nn.PReLU(24), g.add("layer_norm", nn.LayerNorm(24), y))
    y = g.add("larger", nn.DepthToSpace(2, depth_first=False), y)
    mask = g.add("mask", nn.Sigmoid(), g.add("look", nn.Conv2d(6, 1, 1), y))
    y = g.add("smaller", nn.SpaceToDepth(4), g.add("masked", nn.Mul(), y, mask))
    y = g.add("shares", nn.Softmax(), y)
    g.output(g.add("score", nn.Conv2d(96, 3, 4), y))
    return g


def assert_same(state: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert state.keys() == other.keys()
    for name, array in state.items():
        assert array.tobytes() == other[name].tobytes(), name


@pytest.mark.skipif(not why_no_cuda(), reason="a GPU is usable")
def test_a_gpu_that_is_not_there() -> None:
    with pytest.raises(DeviceError, match="device 'cuda'"):
        lenet_trainer()
    assert lenet_trainer("auto").device == "cpu"


def test_devices_that_are_none() -> None:
    with pytest.raises(DeviceError, match="not 'gpu'"):
        lenet_trainer("gpu")


@pytest.mark.cuda
def test_losses_of_lenet_are_near_the_cpus() -> None:
    """Runs part where a ReLU decides otherwise: the first are near, the last within a tenth.

    On the CPU, weights that are 1e-5 off at the start make losses 5e-5 off within 10 steps, and
    2e-2 within 50. At a rate of 0.05 they would be a tenth off after 10.
    """
    optimizer = train.SGD(rate=0.01)
    here, there = (lenet_trainer(device, optimizer=optimizer) for device in ("cpu", "cuda"))
    for step in range(50):
        losses = [trainer.step(IMAGES, LABELS).mean() for trainer in (here, there)]
        assert abs(losses[0] - losses[1]) <= (1e-3 if step < 10 else 0.1) * losses[0], step


@pytest.mark.cuda
def test_losses_of_a_discriminator_are_near_the_cpus() -> None:
    random = np.random.default_rng(2)
    images = random.uniform(-1, 1, (16, 64, 64, 3)).astype(np.float32)
    real = (np.arange(16) % 2).astype(np.float32).reshape(16, 1, 1, 1)
    here, there = (
        train.Trainer(
            discriminator(16), "binary_cross_entropy", train.SGD(rate=0.01), seed=3, device=device
        )
        for device in ("cpu", "cuda")
    )
    for step in range(50):
        losses = [trainer.step(images, real).mean() for trainer in (here, there)]
        near = 1e-3 if step < 10 else 0.1
        assert abs(losses[0] - losses[1]) <= near * max(losses[0], 0.01), step


@pytest.mark.cuda
def test_a_mobile_network_is_trained_as_on_the_cpu() -> None:
    """Gradients of the first step agree, and losses after it; two runs have the same bits.

    On the CPU, weights that are 3e-5 off at the start make gradients 3e-4 of their largest number
    off, losses 3e-6 within 10 steps and 1e-3 within 50.
    """
    random = np.random.default_rng(4)
    images = random.uniform(-1, 1, (12, 32, 32, 3)).astype(np.float32)
    target = random.standard_normal((12, 1, 1, 3)).astype(np.float32)
    here, there, again = (
        train.Trainer(mobile(), "l2", train.SGD(rate=0.1, momentum=0.9), seed=3, device=device)
        for device in ("cpu", "cuda", "cuda")
    )
    losses, gradients = here.gradients(images, target)
    found_losses, found = there.gradients(images, target)
    np.testing.assert_allclose(found_losses, losses, rtol=1e-4)
    for name, gradient in gradients.items():
        largest = np.abs(gradient).max()
        np.testing.assert_allclose(found[name], gradient, atol=2e-3 * largest, err_msg=name)
    for step in range(50):
        losses = [trainer.step(images, target).mean() for trainer in (here, there, again)]
        assert losses[1] == losses[2], step
        assert abs(losses[0] - losses[1]) <= (1e-3 if step < 10 else 0.1) * losses[0], step
    assert losses[1] < 0.1 * found_losses.mean()
    assert_same(there.state_dict(), again.state_dict())


@pytest.mark.cuda
def test_two_runs_have_the_same_bits() -> None:
    states = []
    for _ in range(2):
        trainer = lenet_trainer()
        for i in range(8):
            trainer.step(IMAGES[i % 3 :], LABELS[i % 3 :])
        states.append(trainer.state_dict())
    assert_same(*states)


@pytest.mark.cuda
def test_stopped_and_resumed_is_the_same_to_the_bit(tmp_path: Path) -> None:
    whole, first = lenet_trainer(), lenet_trainer()
    for i in range(6):
        whole.step(IMAGES[i:], LABELS[i:])
    for i in range(3):
        first.step(IMAGES[i:], LABELS[i:])
    first.save(tmp_path / "state.safetensors")
    second = lenet_trainer(weights=lenet.initial_weights(5))
    second.load(tmp_path / "state.safetensors")
    for i in range(3, 6):
        second.step(IMAGES[i:], LABELS[i:])
    assert_same(second.state_dict(), whole.state_dict())


@pytest.mark.cuda
def test_weights_are_copied_when_they_are_read_and_are_the_callers() -> None:
    weights = lenet.initial_weights(1)
    before = {name: array.copy() for name, array in weights.items()}
    trainer = lenet_trainer(weights=weights)
    trainer.step(IMAGES, LABELS)
    np.testing.assert_array_equal(weights["conv1.weight"], before["conv1.weight"])
    trainer.sync()
    assert not np.array_equal(weights["conv1.weight"], before["conv1.weight"])
    assert trainer.weights["conv1.weight"] is weights["conv1.weight"]
    assert not np.array_equal(trainer.averages["score.bias"], trainer.weights["score.bias"])


@pytest.mark.cuda
def test_trainers_share_the_arrays_that_are_shared() -> None:
    weights = lenet.initial_weights(1)
    one = lenet_trainer(weights=weights, frozen=["conv1"])
    one.step(IMAGES, LABELS)
    other = lenet_trainer(weights=weights, optimizer=train.SGD(rate=0.1))
    other.step(IMAGES, LABELS)
    alone = {name: array.copy() for name, array in one.weights.items()}
    assert one.weights["conv2.weight"] is other.weights["conv2.weight"]
    same = lenet_trainer(weights={name: array.copy() for name, array in alone.items()})
    one.steps = same.steps = 0  # of which dropout is a function
    found, expected = one.predict(IMAGES), same.predict(IMAGES)
    for name, array in found.items():
        np.testing.assert_array_equal(array, expected[name])


@pytest.mark.cuda
def test_gradients_and_predictions_are_the_cpus() -> None:
    here, there = lenet_trainer("cpu", inputs=["image"]), lenet_trainer("cuda", inputs=["image"])
    names = here.program.input_gradients
    losses, gradients = here.gradients(IMAGES, LABELS)
    found_losses, found = there.gradients(IMAGES, LABELS)
    np.testing.assert_allclose(found_losses, losses, rtol=1e-4)
    assert names and set(found) == set(gradients)
    for name, gradient in gradients.items():
        largest = np.abs(gradient).max()
        np.testing.assert_allclose(found[name], gradient, atol=2e-3 * largest, err_msg=name)
    for name, scores in here.predict(IMAGES).items():
        np.testing.assert_allclose(there.predict(IMAGES)[name], scores, atol=1e-3)


@pytest.mark.cuda
def test_batches_of_any_size() -> None:
    here, there = lenet_trainer("cpu"), lenet_trainer("cuda")
    for images in (1, 24, 3, 24, 3, 24, 17):
        losses = [t.step(IMAGES[:images], LABELS[:images]) for t in (here, there)]
        np.testing.assert_allclose(losses[1], losses[0], rtol=0.02, atol=0.02)


@pytest.mark.cuda
def test_a_number_that_is_not_finite_is_found_where_it_begins() -> None:
    trainer = lenet_trainer()
    for _ in range(3):
        trainer.step(IMAGES, LABELS)
    before = trainer.state_dict()
    images = IMAGES.copy()
    images[5, 3, 3] = np.inf
    with pytest.raises(train.Diverged, match="input 0 has a number that is not finite, in image 5"):
        trainer.step(images, LABELS)
    assert_same(trainer.state_dict(), before)
    trainer.step(IMAGES, LABELS)
    trainer.weights["conv2.weight"][...] = 1e38
    trainer.load_state_dict(trainer.state_dict())
    with pytest.raises(train.Diverged, match="is not finite, and what it was made of is"):
        trainer.step(IMAGES, LABELS)


@pytest.mark.cuda
def test_precisions_that_gpus_have_not() -> None:
    with pytest.raises(ValueError, match="float32, bfloat16 or float16, not 'tf32'"):
        lenet_trainer(precision="tf32")


@pytest.mark.cuda
def test_a_step_goes_on_from_its_prediction() -> None:
    whole, goes_on = lenet_trainer(), lenet_trainer()
    for images in (24, 24, 24, 8):
        expected = whole.step(IMAGES[:images], LABELS[:images])
        goes_on.predict(IMAGES[:images])
        found = goes_on.step(IMAGES[:images], LABELS[:images], predicted=True)
        assert found.tobytes() == expected.tobytes()
    assert_same(goes_on.state_dict(), whole.state_dict())
    goes_on.predict(IMAGES)
    with pytest.raises(ValueError, match="no forward pass"):
        goes_on.step(IMAGES[:8], LABELS[:8], predicted=True)
    with pytest.raises(ValueError, match="no forward pass"):
        whole.step(IMAGES, LABELS, predicted=True)


@pytest.mark.cuda
def test_outputs_of_the_last_step() -> None:
    graph = nn.Graph("two ends")
    x = graph.input("x", Shape(28, 28, 1))
    graph.output(graph.add("tanh", nn.Tanh(), graph.add("conv", nn.Conv2d(1, 3, 3), x)))
    graph.output(graph.add("mean", nn.GlobalAvgPool2d(), x))
    made = []
    for device in ("cpu", "cuda"):
        trainer = train.Trainer(
            graph, {"tanh": "l2"}, train.SGD(rate=0.1), outputs=["tanh"], seed=1, device=device
        )
        trainer.step(IMAGES, np.zeros((1, 1, 1, 1)))
        made.append(trainer.output("tanh"))
    np.testing.assert_allclose(made[1], made[0], atol=1e-3)


@pytest.mark.cuda
def test_moments_of_another_trainer_on_the_same_device() -> None:
    one = lenet_trainer()
    other = lenet_trainer(moments_of=one, frozen=())
    one.step(IMAGES, LABELS)
    other.step(IMAGES, LABELS)
    alone = lenet_trainer()
    for _ in range(2):
        alone.step(IMAGES, LABELS)
    assert_same(one.state_dict(), alone.state_dict())
    with pytest.raises(ValueError, match="moments_of is on cuda:0, not on cpu"):
        lenet_trainer("cpu", moments_of=one)


@pytest.mark.cuda
def test_a_batch_too_large_for_the_gpu() -> None:
    """Refused in words, and training goes on."""
    graph = nn.Graph("wide")
    x = graph.add("up", nn.ConvTranspose2d(1, 64, 64), graph.input("x", Shape(1, 1, 1)))
    graph.output(graph.add("mean", nn.GlobalAvgPool2d(), x))
    trainer = train.Trainer(graph, "l2", train.SGD(rate=0.1), seed=1, device="cuda")
    x = np.ones((300_000, 1, 1, 1), np.float32)  # each takes a megabyte
    before = trainer.step(x[:2], np.zeros((2, 1, 1, 64)))
    for use in (lambda: trainer.predict(x), lambda: trainer.step(x, np.zeros((300_000, 1, 1, 64)))):
        with pytest.raises(MemoryError, match="300,000 images of wide in training: takes more"):
            use()
    assert trainer.step(x[:2], np.zeros((2, 1, 1, 64))).mean() < before.mean()


@pytest.mark.cuda
def test_asynchronous_ranks_train_on_the_cpu() -> None:
    with pytest.raises(ValueError, match="asynchronous ranks train on the CPU"):
        lenet_trainer(ranks=SimpleNamespace(asynchronous=True))
    with pytest.raises(ValueError, match="stays on cuda:0"):
        lenet_trainer().find(IMAGES, LABELS)


@pytest.mark.cuda
def test_parts_are_near_the_whole_and_the_same_every_time() -> None:
    """Sums are cut otherwise: a product's error is 2^-16, and there are 24 images."""
    whole, one, other = (lenet_trainer(optimizer=train.SGD(rate=0.01)) for _ in range(3))
    assert one.most_parts(24) == 3
    for _ in range(4):
        expected = whole.step(IMAGES, LABELS)
        found = one.step(IMAGES, LABELS, parts=3)
        assert found.tobytes() == other.step(IMAGES, LABELS, parts=3).tobytes()
        np.testing.assert_allclose(found, expected, rtol=1e-3)
    assert_same(one.state_dict(), other.state_dict())
    assert whole.memory_bytes > one.memory_bytes


@pytest.mark.cuda
def test_a_number_that_is_not_finite_in_a_part() -> None:
    trainer = lenet_trainer()
    images = IMAGES.copy()
    images[20, 3, 3] = np.inf
    for parts in (1, 3):
        with pytest.raises(train.Diverged, match="input 0 has a number that .*, in image 20"):
            trainer.step(images, LABELS, parts=parts)


@pytest.mark.cuda
def test_memory_that_is_short_makes_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The GPU is one that has room for 8 images: others' tests need what a real one has."""
    trainer, whole = lenet_trainer(), lenet_trainer()
    real = trainer._engine.run

    def run(steps: Steps) -> Outcome:
        if steps.part_images > 8:
            raise MemoryError
        return real(steps)

    monkeypatch.setattr(trainer._engine, "run", run)
    said: list[str] = []
    step = train.StepInParts(trainer, said.append)
    losses = step(IMAGES, LABELS)
    np.testing.assert_allclose(losses, whole.step(IMAGES, LABELS), rtol=1e-3)
    assert step.parts == 4 and said[-1] == "memory is short: batches of 24 in 4 parts"


@pytest.mark.cuda
def test_what_one_trainer_makes_another_takes_on_the_gpu() -> None:
    """A picture that stays there, and its gradient on the way back, give the host's bits."""
    random = np.random.default_rng(3)
    drawn = random.random((12, 1, 1, 8), np.float32)
    maker = Graph("maker")
    x = maker.add("up", nn.ConvTranspose2d(8, 3, 6), maker.input("z", Shape(1, 1, 8)))
    maker.output(maker.add("tanh", nn.Tanh(), x))
    judge = Graph("judge")
    x = judge.add("conv", nn.Conv2d(3, 4, 3, stride=2), judge.input("picture", Shape(6, 6, 3)))
    judge.output(judge.add("score", nn.Linear(4, 1), judge.add("mean", nn.GlobalAvgPool2d(), x)))
    made = []
    for on_device in (False, True):
        generator = train.Trainer(
            maker, {"tanh": train.Given()}, train.SGD(rate=0.1), seed=1, outputs=["tanh"],
            device="cuda",
        )  # fmt: skip
        discriminator = train.Trainer(
            judge, "binary_cross_entropy", train.SGD(rate=0.1), seed=2, inputs=["picture"],
            device="cuda",
        )  # fmt: skip
        for _ in range(3):
            generator.gradients(drawn, 0.0)
            picture = generator.output("tanh", on_device=on_device)
            discriminator.step(picture, 0.0)
            _, gradients = discriminator.gradients(picture, 1.0, on_device=on_device)
            generator.step(drawn, gradients["picture"])
        made.append({**generator.state_dict(), **discriminator.state_dict()})
        shape = (12, 6, 6, 3)
        assert np.asarray(picture).shape == np.asarray(gradients["picture"]).shape == shape
    assert_same(made[1], made[0])


@pytest.mark.cuda
def test_tensors_on_the_gpu_are_read_as_they_lie() -> None:
    torch = pytest.importorskip("torch")
    here, there = lenet_trainer(), lenet_trainer()
    x, y = torch.from_numpy(IMAGES).cuda(), torch.from_numpy(LABELS).cuda()
    turned = x.permute(0, 2, 1, 3).contiguous().permute(0, 2, 1, 3)  # of other strides
    for images in (x, turned, x.half().float(), x.double()):
        expected = here.step(images.cpu().numpy(), LABELS)
        assert there.step(images, y).tobytes() == expected.tobytes()
    rounded = x.half()
    expected = here.step(rounded.float().cpu().numpy(), LABELS)
    assert there.step(rounded, y.to(torch.int32)).tobytes() == expected.tobytes()
    rows = np.arange(24).reshape(4, 6)
    expected = here.run(here.hold(IMAGES, LABELS), rows)
    assert there.run(there.hold(x, y), rows).tobytes() == expected.tobytes()
    assert_same(there.state_dict(), here.state_dict())
    with pytest.raises(ValueError, match="labels: expected 0 to 9, .*, found another in image 3"):
        there.step(x, torch.where(torch.arange(24, device="cuda") == 3, 10, y))
    with pytest.raises(ValueError, match="image is on GPU 0, and this trains on the CPU"):
        lenet_trainer("cpu").step(x, LABELS)


@pytest.mark.cuda
def test_work_that_makes_a_batch_is_waited_for() -> None:
    torch = pytest.importorskip("torch")
    trainer, other = lenet_trainer(), lenet_trainer()
    x = torch.from_numpy(IMAGES).cuda()
    with torch.cuda.stream(torch.cuda.Stream()):
        torch.cuda._sleep(200_000_000)  # a tenth of a second
        late = x * 0.5
        found = trainer.step(late, LABELS)
    assert found.tobytes() == other.step(IMAGES * np.float32(0.5), LABELS).tobytes()


@pytest.mark.cuda
def test_calls_of_more_steps_than_go_up_at_once() -> None:
    """A call's numbers are cut at a megabyte: 4,000 steps of 8 images take more."""
    many, single = lenet_trainer(dropout=None), lenet_trainer(dropout=None)
    rows = np.random.default_rng(5).integers(0, 24, (4000, 8))
    losses = many.run(many.hold(IMAGES, LABELS), rows)
    expected = [single.step(IMAGES[row], LABELS[row]) for row in rows]
    assert losses.tobytes() == np.array(expected).tobytes()
    assert_same(many.state_dict(), single.state_dict())
