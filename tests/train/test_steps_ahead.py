"""Steps that are not waited for: to the bit what steps are that were waited for."""

from __future__ import annotations

from typing import Any

import numpy as np
import places_ahead
import pytest
from places_ahead import PLACES, PLAYED, AheadSteps, assert_losses, assert_same, device_of

from facegen import train
from facegen.networks import lenet
from facegen.train.step_engine import Outcome, Steps

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.random((40, 28, 28, 1), np.float32)
LABELS = RANDOM.integers(0, 10, 40)
OVERFLOW = 20  # steps: more than may be under way


@pytest.fixture(params=PLACES)
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    return device_of(request.param, monkeypatch)


def lenet_trainer(device: str, **options: Any) -> train.Trainer:
    choices: dict[str, Any] = {
        "loss": "cross_entropy",
        "optimizer": train.Adam(rate=train.cosine(1e-3, 50), average=0.9),
        "dropout": {"relu3": 0.4},
        "threads": 1,
        "seed": 7,
        **options,
    }
    return train.Trainer(lenet.graph(), device=device, **choices)


@pytest.mark.parametrize("parts", [1, 2])
def test_the_bits_are_those_of_steps_that_are_waited_for(device: str, parts: int) -> None:
    waits, ahead = lenet_trainer(device), lenet_trainer(device)
    expected = []
    for i in range(OVERFLOW):
        batch = IMAGES[i : i + 12], LABELS[i : i + 12]
        expected.append(waits.step(*batch, parts=parts))
        assert ahead.step(*batch, parts=parts, wait=False) is None
    assert ahead.steps == OVERFLOW
    assert_losses(ahead.wait(), expected)
    assert ahead.gradient_length == waits.gradient_length
    for name, losses in waits.losses.items():
        assert ahead.losses[name].tobytes() == losses.tobytes()
    assert ahead.wait() == []
    assert_same(ahead, waits)


def test_batches_of_any_size(device: str) -> None:
    waits, ahead = lenet_trainer(device), lenet_trainer(device)
    expected = []
    for images in (1, 24, 3, 3, 3, 40, 3, 24, 17, 17):
        expected.append(waits.step(IMAGES[:images], LABELS[:images]))
        ahead.step(IMAGES[:images], LABELS[:images], wait=False)
    assert_losses(ahead.wait(), expected)
    assert_same(ahead, waits)


def test_arrays_may_be_changed_when_the_call_returns(device: str) -> None:
    waits, ahead = lenet_trainer(device), lenet_trainer(device)
    expected = []
    for i in range(OVERFLOW):
        x, y = IMAGES[i : i + 8].copy(), LABELS[i : i + 8].astype(np.int32)
        expected.append(waits.step(x, y))
        ahead.step(x, y, wait=False)
        x[...], y[...] = np.nan, -1
    assert_losses(ahead.wait(), expected)
    assert_same(ahead, waits)


@pytest.mark.parametrize("behind", [0, 3, OVERFLOW])
def test_a_number_that_is_not_finite_stops_all_behind_it(device: str, behind: int) -> None:
    """Behind it the batch, and what else the step had, are there until it is explained."""
    broken = IMAGES[:6].copy()
    broken[5, 3, 3] = np.inf
    waits, ahead = lenet_trainer(device), lenet_trainer(device)
    expected = [waits.step(IMAGES[i : i + 6], LABELS[i : i + 6]) for i in range(3)]
    for i in range(3):
        ahead.step(IMAGES[i : i + 6], LABELS[i : i + 6], wait=False)
    with pytest.raises(train.Diverged, match="step 3 of lenet: input 0 .*, in image 5$"):
        ahead.step(broken, LABELS[:6], wait=False)
        for i in range(behind):
            ahead.step(IMAGES[i : i + 6], LABELS[i : i + 6], wait=False)
        ahead.wait()
    assert ahead.steps == 3
    assert_losses(ahead.wait(), expected)
    assert_same(ahead, waits)
    for trainer in (waits, ahead):  # and it goes on
        trainer.step(IMAGES, LABELS, wait=False)
    assert_losses(ahead.wait(), waits.wait())
    assert_same(ahead, waits)


def test_other_calls_wait_first(device: str) -> None:
    waits, ahead = lenet_trainer(device), lenet_trainer(device)
    expected = []
    batch = IMAGES[:8], LABELS[:8]

    def step() -> None:
        expected.append(waits.step(*batch))
        ahead.step(*batch, wait=False)

    step()
    assert_same(ahead, waits)
    step()
    assert ahead.weights["conv1.weight"].tobytes() == waits.weights["conv1.weight"].tobytes()
    step()
    assert ahead.step(*batch).tobytes() == waits.step(*batch).tobytes()
    step()
    for name, array in waits.predict(IMAGES).items():
        assert ahead.predict(IMAGES)[name].tobytes() == array.tobytes()
    step()
    losses, gradients = waits.gradients(*batch)
    found_losses, found = ahead.gradients(*batch)
    assert found_losses.tobytes() == losses.tobytes()
    for name, array in gradients.items():
        assert found[name].tobytes() == array.tobytes()
    step()
    rows = np.arange(8).reshape(2, 4)
    held = [trainer.hold(IMAGES, LABELS) for trainer in (waits, ahead)]
    step()
    assert ahead.run(held[1], rows).tobytes() == waits.run(held[0], rows).tobytes()
    step()
    assert ahead.averages["score.bias"].tobytes() == waits.averages["score.bias"].tobytes()
    assert_losses(ahead.wait(), expected)
    assert ahead.wait() == []


def test_a_state_that_is_loaded_meanwhile(device: str) -> None:
    waits, ahead = lenet_trainer(device), lenet_trainer(device)
    first = ahead.state_dict()
    for _ in range(3):
        ahead.step(IMAGES, LABELS, wait=False)
    ahead.load_state_dict(first)
    assert ahead.steps == 0 and len(ahead.wait()) == 3
    for trainer in (waits, ahead):
        trainer.step(IMAGES, LABELS, wait=False)
    ahead.steps = 5
    waits.steps = 5
    assert_losses(ahead.wait(), waits.wait())
    assert_same(ahead, waits)


def test_errors_leave_what_was_begun(device: str) -> None:
    waits, ahead = lenet_trainer(device), lenet_trainer(device)
    expected = [waits.step(IMAGES, LABELS) for _ in range(2)]
    ahead.step(IMAGES, LABELS, wait=False)
    with pytest.raises(ValueError, match="expected 0 to 9"):
        ahead.step(IMAGES, LABELS + 10, wait=False)
    ahead.step(IMAGES, LABELS, wait=False)
    assert_losses(ahead.wait(), expected)
    assert_same(ahead, waits)


def test_two_trainers_that_count_the_same_steps(device: str) -> None:
    found = []
    for wait in (True, False):
        one = lenet_trainer(device)
        other = lenet_trainer(device, moments_of=one, loss=train.CrossEntropy(weight=2.0))
        for i in range(6):
            for trainer in (one, other, other):
                trainer.step(IMAGES[i : i + 9], LABELS[i : i + 9], wait=wait)
        assert one.steps == 18
        found.append(one.state_dict())
    for name, array in found[0].items():
        assert array.tobytes() == found[1][name].tobytes(), name


def test_gradients_that_are_not_waited_for(device: str) -> None:
    waits, ahead = lenet_trainer(device), lenet_trainer(device)
    expected = []
    for i in range(4):
        batch = IMAGES[i : i + 9], LABELS[i : i + 9]
        losses, gradients = waits.gradients(*batch)
        nothing, found = ahead.gradients(*batch, wait=False)
        assert nothing is None and found.keys() == gradients.keys()
        expected += [losses, waits.step(*batch)]
        ahead.step(*batch, wait=False)
        for name, array in gradients.items():
            assert found[name].tobytes() == array.tobytes(), name
    assert ahead.steps == 4
    assert_losses(ahead.wait(), expected)
    assert_same(ahead, waits)


def test_steps_in_parts_are_begun(device: str) -> None:
    waits, ahead = lenet_trainer(device), lenet_trainer(device)
    step, begin = train.StepInParts(waits), train.StepInParts(ahead)
    step.parts = begin.parts = 2
    expected = [step(IMAGES, LABELS) for _ in range(3)]
    for _ in range(3):
        begin.begin(IMAGES, LABELS)
    assert_losses(ahead.wait(), expected)
    assert_same(ahead, waits)


class Interrupted(AheadSteps):
    """Ctrl-C arrives when a call has been done, but before its caller knows."""

    by: str | None = None  # the call
    no_memory = False  # for steps that are not waited for

    @property
    def begun(self) -> int:
        return len(self._ahead)

    def begin(self, steps: Steps) -> bool | None:
        if self.no_memory:
            return False if self._ahead else None
        begun = super().begin(steps)
        self._interrupt("begin")
        return begun

    def finish(self, losses: np.ndarray) -> Outcome:
        outcome = super().finish(losses)
        self._interrupt("finish")
        return outcome

    def _interrupt(self, by: str) -> None:
        if self.by == by:
            self.by = None
            raise KeyboardInterrupt


@pytest.fixture
def played(monkeypatch: pytest.MonkeyPatch) -> tuple[train.Trainer, train.Trainer, Any]:
    """A trainer that waits, one that does not, and the engine of the latter."""
    monkeypatch.setattr(places_ahead, "AheadSteps", Interrupted)
    device = device_of(PLAYED, monkeypatch)
    ahead = lenet_trainer(device)
    return lenet_trainer(device), ahead, ahead._engine


@pytest.mark.parametrize("after", [0, 2, 8])
def test_begin_may_be_interrupted(played: Any, after: int) -> None:
    """The step has been begun, or not where others have to be finished first."""
    waits, ahead, engine = played
    batches = [(IMAGES[i : i + 6], LABELS[i : i + 6]) for i in range(12)]
    for batch in batches[:after]:
        ahead.step(*batch, wait=False)
    engine.by = "begin"
    with pytest.raises(KeyboardInterrupt):
        ahead.step(*batches[after], wait=False)
    done = min(after + 1, 8)
    assert ahead.steps == done == engine.begun
    expected = [waits.step(*batch) for batch in batches[:done]]
    assert_losses(ahead.wait(), expected)
    assert_same(ahead, waits)
    for trainer in (waits, ahead):
        trainer.step(*batches[9], wait=False)
    assert_losses(ahead.wait(), waits.wait())
    assert_same(ahead, waits)


@pytest.mark.parametrize("steps", [1, 3])
def test_finish_may_be_interrupted(played: Any, steps: int) -> None:
    waits, ahead, engine = played
    expected = []
    for i in range(steps):
        batch = IMAGES[i : i + 6], LABELS[i : i + 6]
        expected.append(waits.step(*batch))
        ahead.step(*batch, wait=False)
    engine.by = "finish"
    with pytest.raises(KeyboardInterrupt):
        ahead.wait()
    assert ahead.steps == steps and engine.begun == steps - 1
    assert_same(ahead, waits)
    assert_losses(ahead.wait(), expected)
    for name, losses in waits.losses.items():
        assert ahead.losses[name].tobytes() == losses.tobytes()
    for trainer in (waits, ahead):
        trainer.step(IMAGES, LABELS, wait=False)
    assert_losses(ahead.wait(), waits.wait())
    assert_same(ahead, waits)


@pytest.mark.parametrize("behind", [0, 2])
def test_a_step_that_is_not_finite_is_told_after_an_interrupt(played: Any, behind: int) -> None:
    waits, ahead, engine = played
    broken = IMAGES[:6].copy()
    broken[2] = np.nan
    for _ in range(1 + behind):
        ahead.step(broken, LABELS[:6], wait=False)
    engine.by = "finish"
    with pytest.raises(KeyboardInterrupt):
        ahead.wait()
    assert ahead.steps == 0
    with pytest.raises(train.Diverged, match="step 0 of lenet: a number is not finite"):
        ahead.wait()
    assert ahead.wait() == []
    assert_same(ahead, waits)


def test_without_the_memory_a_step_is_waited_for(played: Any) -> None:
    waits, ahead, engine = played
    expected = []
    for i in range(6):
        engine.no_memory = i in (2, 3)
        batch = IMAGES[i : i + 6], LABELS[i : i + 6]
        expected.append(waits.step(*batch))
        assert ahead.step(*batch, wait=False) is None
        assert engine.begun == [1, 2, 0, 0, 1, 2][i]
    assert ahead.steps == 6
    assert_losses(ahead.wait(), expected)
    assert_same(ahead, waits)


def test_an_interrupted_step_that_is_waited_for_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interrupt comes when the engine has changed the weights."""
    trainer, other = lenet_trainer("cpu"), lenet_trainer("cpu")
    run = trainer._engine.run

    def interrupted(steps: Any) -> Outcome:
        run(steps)
        raise KeyboardInterrupt

    trainer.step(IMAGES, LABELS)
    with monkeypatch.context() as patch:
        patch.setattr(trainer._engine, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            trainer.step(IMAGES, LABELS)
    assert trainer.steps == 2
    for _ in range(2):
        other.step(IMAGES, LABELS)
    assert_same(trainer, other)
