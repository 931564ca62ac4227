"""Weights as bfloat16: to which they are rounded, by which draws, and what becomes of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from training_interpreter import philox

from facegen import nn, train
from facegen._native import CpuTraining, available_isas
from facegen.networks import lenet
from facegen.nn import Graph, Shape
from facegen.nn.grad import differentiate
from facegen.numbers.rounding import BFloat16

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.random((12, 28, 28, 1), np.float32)
LABELS = RANDOM.integers(0, 10, 12)
SEED, STEP = 2**40 + 7, 2**33 + 5
ROW, OF_CALL = 256, 8  # as csrc/weight_rounding.h has them
NEAREST, STOCHASTIC = BFloat16(), BFloat16(stochastic=True)
WORDS = {NEAREST: "nearest", STOCHASTIC: "stochastic"}  # as steps have them
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]


def draws(count: int, stream: int, seed: int = SEED, step: int = STEP) -> np.ndarray:
    """16 random bits of each weight of a parameter, by the definition."""
    blocks = -(-count // (ROW * OF_CALL))
    words = philox(4 * ROW * blocks, seed + (2**31 + stream) * 0x9E3779B97F4A7C15, step)
    halves = np.stack([words & np.uint64(0xFFFF), words >> np.uint64(16)], axis=-1)
    of_calls = halves.reshape(blocks, ROW, OF_CALL)
    return of_calls.transpose(0, 2, 1).reshape(-1)[:count].astype(np.uint32)


def rounded(weights: np.ndarray, how: BFloat16, stream: int, **number: int) -> np.ndarray:
    """A parameter as bfloat16, by the definition: in float64, whose numbers are exact here."""
    bits = weights.reshape(-1).view(np.uint32)
    below = (bits & np.uint32(0xFFFF0000)).view(np.float32).astype(np.float64)
    # Below 2^-126 neighbours are as far apart as behind it.
    exponent = np.where(below == 0, -133, np.frexp(below)[1] - 8)
    unit = np.copysign(np.ldexp(1.0, np.maximum(exponent, -133)), weights.reshape(-1))
    share = (weights.reshape(-1).astype(np.float64) - below) / unit
    if how.stochastic:
        up = share * 2**16 + draws(weights.size, stream, **number) >= 2**16
    else:
        is_odd = np.abs(below / unit) % 2 == 1
        up = (share > 0.5) | ((share == 0.5) & is_odd)
    found = np.where(up, below + unit, below)
    largest = float(np.array(0x7F7F0000, np.uint32).view(np.float32))
    return np.clip(found, -largest, largest).astype(np.float32).reshape(weights.shape)


def one_layer(size: int) -> Graph:
    g = Graph("one layer")
    g.output(g.add("fc", nn.Linear(1, size), g.input("x", Shape(1, 1, 1))))
    return g


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.tobytes() == expected.tobytes(), np.argwhere(found != expected)[:5]


@pytest.mark.parametrize("isa", available_isas())
@pytest.mark.parametrize("how", [NEAREST, STOCHASTIC], ids=["nearest", "stochastic"])
@settings(max_examples=25, deadline=None)
@given(
    size=st.sampled_from([1, 255, 256, 2047, 2048, 2049, 5000, 40_000]),
    data_seed=st.integers(0, 2**32 - 1),
)
def test_what_a_weight_is_rounded_to(
    isa: str, how: BFloat16, size: int, data_seed: int
) -> None:
    """Of any bits of a float32 that are a finite number but 0, on every instruction set."""
    random = np.random.default_rng(data_seed)
    bits = random.integers(0, 2**32, size, np.uint32)
    bits[random.random(size) < 0.1] &= 0x807FFFFF  # the least exponent
    bits[random.random(size) < 0.1] |= 0x7F7F0000  # the largest finite ones
    bits[random.random(size) < 0.1] &= 0xFFFF8000  # half way
    weights = bits.view(np.float32)
    weights[~np.isfinite(weights) | (weights == 0)] = 1.0
    program = differentiate(
        one_layer(size), "given", train.SGD(rate=0.0), rounding=WORDS[how]
    )
    arrays = {"fc.weight": weights.reshape(size, 1).copy(), "fc.bias": weights.copy()}
    native = CpuTraining(program, arrays, isa)
    zeros = np.zeros((1, 1, 1, 1), np.float32), np.zeros((1, 1, 1, size), np.float32)
    native.step([zeros[0]], [zeros[1]], np.empty((1, 1)), [0.0], SEED, STEP, True, 2)
    for stream, array in enumerate(arrays.values()):
        expected = rounded(weights, how, stream).reshape(array.shape)
        assert_same(array, expected)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "optimizer",
    [train.SGD(rate=0.1, momentum=0.9, nesterov=True, average=0.5), train.Adam(rate=1e-2),
     train.AdamW(rate=1e-2, average=0.5, clip_norm=0.1)],
    ids=["sgd", "adam", "adamw"],
)  # fmt: skip
@pytest.mark.parametrize("how", [NEAREST, STOCHASTIC], ids=["nearest", "stochastic"])
def test_the_optimizers_number_is_rounded(device, optimizer, how: BFloat16) -> None:
    """By two trainers from one state. Moments are not rounded; averages are of rounded weights."""
    plain = train.Trainer(lenet.graph(), "cross_entropy", optimizer, seed=3, device=device)
    other = train.Trainer(
        lenet.graph(), "cross_entropy", optimizer, seed=3, device=device, rounding=how
    )
    names = other.program.trained
    for step in range(2):
        state = other.state_dict()
        plain.load_state_dict(state)
        for trainer in (plain, other):
            trainer.step(IMAGES, LABELS)
        found, expected = other.state_dict(), plain.state_dict()
        for stream, name in enumerate(names):
            weight = rounded(expected[name], how, stream, seed=3, step=step)
            assert_same(found[name], weight)
            assert (found[name] != expected[name]).any()
            for kept in other.program.state:
                if kept.startswith(f"{name}:") and not kept.endswith("average"):
                    assert_same(found[kept], expected[kept])
            if optimizer.average is not None:
                middle = (state[f"{name}:average"] + weight) / 2
                np.testing.assert_allclose(found[f"{name}:average"], middle, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("device", DEVICES)
def test_the_mean_is_what_it_was(device: str) -> None:
    """Of 40,000 equal weights, a deviation of at most half a unit each: six of the mean's."""
    size, unit = 40_000, 2.0**-7
    for share in (0.5, 1 / 16, 15 / 16, 1 / 300):
        weights = {
            "fc.weight": np.full((size, 1), 1 + share * unit, np.float32),
            "fc.bias": np.full(size, -1 - share * unit, np.float32),
        }
        trainer = train.Trainer(
            one_layer(size), "l2", train.SGD(rate=0.0), weights=weights, device=device,
            rounding=STOCHASTIC,
        )  # fmt: skip
        trainer.step(np.zeros((1, 1, 1, 1), np.float32), 0.0)
        for array in trainer.weights.values():
            magnitudes = np.abs(array.astype(np.float64))
            assert set(np.unique(magnitudes)) == {1.0, 1 + unit}
            deviation = unit * np.sqrt(share * (1 - share) / size)
            assert abs(magnitudes.mean() - (1 + share * unit)) < 6 * deviation
    first, second = (array.reshape(-1) > 0 for array in trainer.weights.values())
    assert first.all() and not second.any()


@pytest.mark.parametrize("device", DEVICES)
def test_small_rates_move_what_is_rounded_by_chance_alone(device: str) -> None:
    """A step of 2^-15 where neighbours are 2^-7 apart: the nearest is always the same.

    Each of 1,024 steps has a deviation of at most 2^-7 sqrt(2^-8), so their sum is 2^-6, and the
    mean of 512 weights is off by less than a twentieth of the way of 2^-5.
    """
    size, steps, change = 512, 1024, 2.0**-15
    moved = {}
    for how in (NEAREST, STOCHASTIC):
        ones = np.ones((size, 1), np.float32)
        weights = {"fc.weight": ones.copy(), "fc.bias": ones[:, 0].copy()}
        trainer = train.Trainer(
            one_layer(size), "given", train.SGD(rate=change), weights=weights, device=device,
            rounding=how,
        )  # fmt: skip
        held = trainer.hold(ones[:1].reshape(1, 1, 1, 1), -ones.reshape(1, 1, 1, size))
        trainer.run(held, np.zeros((steps, 1), np.int32))
        moved[how] = trainer.weights["fc.bias"].mean(dtype=np.float64) - 1
    assert moved[NEAREST] == 0
    assert abs(moved[STOCHASTIC] / (steps * change) - 1) < 0.1


@pytest.mark.parametrize("device", DEVICES)
def test_stopped_and_resumed_is_the_same_to_the_bit(device: str, tmp_path: Path) -> None:
    def trainer(**options) -> train.Trainer:
        optimizer = train.Adam(rate=1e-3, average=0.9)
        options = {"rounding": STOCHASTIC, "dropout": {"relu3": 0.4}, **options}
        options = {"seed": 7, "device": device, **options}
        return train.Trainer(lenet.graph(), "cross_entropy", optimizer, **options)

    whole, first = trainer(), trainer(threads=1)
    for i in range(6):
        whole.step(IMAGES[i:], LABELS[i:])
    for i in range(3):
        first.step(IMAGES[i:], LABELS[i:])
    first.save(tmp_path / "state.safetensors")
    second = trainer(threads=5, seed=8)
    second.load(tmp_path / "state.safetensors")
    for i in range(3, 6):
        second.step(IMAGES[i:], LABELS[i:])
    expected = whole.state_dict()
    for name, array in second.state_dict().items():
        assert_same(array, expected[name])


def test_what_is_applied_is_rounded_as_a_step_is() -> None:
    one, applier = (
        train.Trainer(
            lenet.graph(), "cross_entropy", train.SGD(rate=0.1), seed=5, rounding=STOCHASTIC
        )
        for _ in range(2)
    )
    for _ in range(2):
        one.step(IMAGES, LABELS)
        _, found = applier.find(IMAGES, LABELS)
        applier.apply(found, len(IMAGES))
    for name, array in applier.weights.items():
        assert_same(array, one.weights[name])


def test_only_what_is_trained_is_rounded() -> None:
    trainer = train.Trainer(
        lenet.graph(), "cross_entropy", train.SGD(rate=0.1), seed=0, frozen=["conv1"],
        rounding=NEAREST,
    )  # fmt: skip
    before = trainer.weights["conv1.weight"].copy()
    trainer.step(IMAGES, LABELS)
    assert_same(trainer.weights["conv1.weight"], before)
    lower = trainer.weights["conv2.weight"].view(np.uint32) & 0xFFFF
    assert not lower.any()
    assert "sgd, bfloat16 (nearest)" in str(trainer.program)


@pytest.mark.parametrize("rounding", ["bfloat16", BFloat16], ids=["word", "no format"])
def test_what_is_no_rounding_is_refused(rounding: Any) -> None:
    with pytest.raises(ValueError, match="rounding must be a Rounding or None, not"):
        train.Trainer(lenet.graph(), "cross_entropy", train.SGD(rate=0.1), rounding=rounding)
