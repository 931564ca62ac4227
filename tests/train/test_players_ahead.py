"""Two networks that play against each other, whose steps are not waited for."""

from __future__ import annotations

import numpy as np
import pytest
from games import Game
from places_ahead import PLACES, assert_losses, assert_same, device_of

from facegen import train

STEPS = 20  # more than may be under way


@pytest.fixture(params=PLACES)
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    return device_of(request.param, monkeypatch)


def test_two_players(device: str) -> None:
    """Each reads the other's weights, and what the other has made."""
    waits, ahead = Game(device), Game(device)
    expected = []
    for i in range(STEPS):
        random = np.random.default_rng(i)
        z = random.standard_normal((16, 1, 1, 8), np.float32)
        real = random.uniform(-1, 1, (16, 6, 6, 3)).astype(np.float32)
        expected.append(waits.step(z, real, wait=True))
        assert ahead.step(z, real, wait=False) == [None, None]
    for name in ("generator", "discriminator"):
        assert_same(getattr(ahead, name), getattr(waits, name))
    losses = zip(ahead.generator.wait(), ahead.discriminator.wait(), strict=True)
    for found, those in zip(losses, expected, strict=True):
        assert_losses([*found], [loss for loss in those if loss is not None])


def test_a_player_that_stops(device: str) -> None:
    """The other one goes on, with what there is; weights that both have are as it left them."""
    waits, ahead = Game(device), Game(device)
    z, real = np.ones((4, 1, 1, 8), np.float32), np.ones((4, 6, 6, 3), np.float32)
    for _ in range(3):
        waits.step(z, real, wait=True)
        ahead.step(z, real, wait=False)
    broken = np.full_like(z, np.inf)
    with pytest.raises(train.Diverged, match="step 3 of maker.judge: input 0 "):
        ahead.generator.step(broken, 1.0, wait=False)
        ahead.generator.step(z, 1.0, wait=False)
        ahead.generator.wait()
    assert_same(ahead.discriminator, waits.discriminator)
    assert_same(ahead.generator, waits.generator)
    waits.step(z, real, wait=True)
    ahead.step(z, real, wait=False)
    assert_same(ahead.generator, waits.generator)
    assert_same(ahead.discriminator, waits.discriminator)
