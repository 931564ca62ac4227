"""The face renderer: deterministic, varied, balanced, and its command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from facegen.train.faces.synthetic import SIZE, render, render_labelled
from facegen.train.faces.synthetic.__main__ import main
from facegen.train.faces.synthetic.beard import Beard
from facegen.train.faces.synthetic.draws import Draws
from facegen.train.faces.synthetic.fields import smoothstep, stretch
from facegen.train.faces.synthetic.form import Form
from facegen.train.faces.synthetic.glasses import Glasses
from facegen.train.faces.synthetic.hair import Hair
from facegen.train.faces.synthetic.head import Head, surface
from facegen.train.faces.synthetic.light import Light
from facegen.train.faces.synthetic.many import render_many
from facegen.train.faces.synthetic.mouth import Mouth
from facegen.train.faces.synthetic.traits import Traits


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    return render(7, range(48))


def test_faces_are_small_colour_images(faces: np.ndarray) -> None:
    assert faces.shape == (48, SIZE, SIZE, 3) and SIZE == 64
    assert faces.dtype == np.uint8 and faces.flags.c_contiguous


@pytest.mark.parametrize("batch", [[5], [5, 6, 7], [40, 5, 11, 0, 2]])
def test_a_face_depends_on_its_seed_and_index_alone(faces: np.ndarray, batch: list[int]) -> None:
    np.testing.assert_array_equal(render(7, batch), faces[batch])


def test_other_seeds_are_other_faces(faces: np.ndarray) -> None:
    assert np.abs(render(8, [0])[0].astype(int) - faces[0]).mean() > 5


def test_processes_do_not_change_faces(faces: np.ndarray) -> None:
    one = np.concatenate([some.pixels for some in render_many(7, 66, 1)])
    two = np.concatenate([some.pixels for some in render_many(7, 66, 2)])
    np.testing.assert_array_equal(one[:48], faces)
    np.testing.assert_array_equal(one, two)


def test_labels_are_those_of_the_people_drawn(faces: np.ndarray) -> None:
    some = render_labelled(7, range(6))
    np.testing.assert_array_equal(some.pixels, faces[:6])
    draws = Draws(7, range(6))
    traits = Traits.draw(draws)
    head = Head.draw(draws, traits)
    np.testing.assert_array_equal(some.labels["age"], traits.age.ravel())
    np.testing.assert_array_equal(some.labels["turn"], 2 * head.yaw.ravel())
    np.testing.assert_array_equal(render_labelled(7, [4], 32).labels, some.labels[4:5])


def test_what_labels_say_is_seen() -> None:
    pixels, labels = render_labelled(2, range(40), 32)
    places = {"hair_light": (2, 5, 14, 18), "backdrop": (0, 6, 0, 3), "skin": (13, 15, 15, 17)}
    told = {}
    for name, (top, bottom, left, right) in places.items():
        seen = pixels[:, top:bottom, left:right].mean((1, 2, 3))
        told[name] = np.corrcoef(seen, labels[name])[0, 1]
    assert told["hair_light"] > 0.6 and told["backdrop"] > 0.6 and told["skin"] < -0.6


def test_no_two_faces_are_alike(faces: np.ndarray) -> None:
    flat = faces.reshape(len(faces), -1).astype(np.float32)
    distances = np.sqrt(((flat[:, None] - flat[None]) ** 2).mean(-1))
    distances[np.diag_indices(len(faces))] = np.inf
    assert distances.min() > 12  # of 255, root mean square


def test_exposure_is_a_photograph_s(faces: np.ndarray) -> None:
    brightness = faces.mean((1, 2, 3))
    assert brightness.min() > 40 and brightness.max() < 225
    assert faces.std((1, 2, 3)).min() > 15
    assert (faces == 255).mean() < 0.15


def test_eyes_lie_at_the_same_place(faces: np.ndarray) -> None:
    """Aligned: on average the eyes are two dark places at one height, apart from the brow."""
    mean = faces.mean((0, 3))
    eyes = slice(25, 32)
    row = mean[eyes].min(0)
    left, right, middle = row[20:27].min(), row[37:44].min(), row[30:34].min()
    assert left < middle - 10 and right < middle - 10


def test_traits_are_balanced_and_correlated() -> None:
    draws = Draws(0, range(2000))
    traits = Traits.draw(draws)
    hair = Hair.draw(draws, traits)
    male = traits.male.ravel() > 0.5
    assert 0.45 < male.mean() < 0.55
    quarters = np.histogram(traits.melanin, 4, (0, 1))[0] / 2000
    assert quarters.min() > 0.2
    assert np.corrcoef(traits.age.ravel(), traits.grey.ravel())[0, 1] > 0.5
    assert hair.length.ravel()[~male].mean() > hair.length.ravel()[male].mean() + 0.3
    assert hair.bald.ravel()[~male].max() == 0


def test_parameters_are_covered() -> None:
    draws = Draws(3, range(3000))
    traits = Traits.draw(draws)
    form = Form.draw(draws, traits)
    mouth = Mouth.draw(draws, traits, form)
    beard = Beard.draw(draws, traits)
    hair = Hair.draw(draws, traits)
    glasses = Glasses.draw(draws, traits)
    head = Head.draw(draws, traits)
    light = Light.draw(draws)
    shares = {
        "teeth": (mouth.opening > 0.02, 0.2, 0.7),
        "sad": (form.smile < 0, 0.05, 0.4),
        "fold": (form.fold > 0.4, 0.2, 0.8),
        "lipstick": (mouth.lipstick > 0.3, 0.1, 0.4),
        "full beard": (beard.cheeks > 0.5, 0.03, 0.3),
        "glasses": (glasses.worn > 0, 0.08, 0.3),
        "long hair": (hair.length > 0.8, 0.2, 0.6),
        "short hair": (hair.length < 0.2, 0.3, 0.75),
        "bun": (hair.bun > 0, 0.01, 0.15),
        "bald": (hair.bald > 0.5, 0.01, 0.15),
        "curls": (hair.curl > 0.5, 0.1, 0.5),
        "grey": (traits.grey > 0.5, 0.05, 0.3),
        "turned left": (head.yaw < -0.2, 0.1, 0.3),
        "turned right": (head.yaw > 0.2, 0.1, 0.3),
        "lit from the left": (light.x < -0.3, 0.15, 0.45),
        "lit from the right": (light.x > 0.3, 0.15, 0.45),
    }
    measured = {name: float(np.mean(has)) for name, (has, _, _) in shares.items()}
    wrong = {n: m for n, m in measured.items() if not shares[n][1] < m < shares[n][2]}
    assert wrong == {}


def test_a_turned_head_moves_its_features() -> None:
    draws = Draws(0, range(200))
    head = Head.draw(draws, Traits.draw(draws))
    at = surface(head, SIZE, np.zeros((200, 1, 1, 1), np.float32))
    inside = at.distance < 0
    # Where the face's middle line is, against the head's own middle.
    middle = inside & (np.abs(at.u) < 0.05) & (np.abs(at.v) < 0.1)
    place = (at.p * middle).sum((1, 2, 3)) / middle.sum((1, 2, 3))
    assert np.corrcoef(place, head.yaw.ravel())[0, 1] > 0.98


def test_smoothstep_rises_and_falls() -> None:
    x = np.linspace(-1, 2, 31, dtype=np.float32)
    rise = smoothstep(0, 1, x)
    assert rise[0] == 0 and rise[-1] == 1 and (np.diff(rise) >= 0).all()
    np.testing.assert_allclose(smoothstep(1, 0, x), 1 - rise, atol=1e-6)


def test_stretch_keeps_constants_and_lines() -> None:
    line = np.broadcast_to(np.arange(9, dtype=np.float32), (1, 1, 5, 9))
    field = stretch(line, 48)
    assert field.shape == (1, 1, 48, 48)
    np.testing.assert_allclose(np.diff(field, axis=3), 6 / 48, atol=1e-5)  # 9 points span 6 cells
    np.testing.assert_allclose(np.diff(field, axis=2), 0, atol=1e-5)


def test_grid_command(tmp_path: Path) -> None:
    path = tmp_path / "faces.png"
    arguments = ["--grid", "3x2", "--seed", "7", "--processes", "1", "-o", str(path)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    picture = np.asarray(Image.open(path))
    assert picture.shape == (2 * SIZE, 3 * SIZE, 3)
    np.testing.assert_array_equal(picture[SIZE:, :SIZE], render(7, [3])[0])


def test_count_command(tmp_path: Path, faces: np.ndarray) -> None:
    path, labels = tmp_path / "faces.npy", tmp_path / "labels.npy"
    arguments = ["--count", "6", "--seed", "7", "--processes", "1", "-o", str(path)]
    result = CliRunner().invoke(main, [*arguments, "--labels", str(labels)])
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(np.load(path), faces[:6])
    np.testing.assert_array_equal(np.load(labels), render_labelled(7, range(6)).labels)


def test_larger_faces(tmp_path: Path) -> None:
    path = tmp_path / "faces.npy"
    arguments = ["--count", "1", "--side", "128", "--processes", "1", "-o", str(path)]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(np.load(path), render(0, [0], 128))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name one of --grid and --count"),
        (["--grid", "2x2", "--count", "3"], "name one of --grid and --count"),
        (["--grid", "2by2"], "expected COLUMNSxROWS, as 12x8, found '2by2'"),
        (["--grid", "0x4"], "expected 1 to 10000 faces"),
        (["--count", "0"], "x>=1"),
        (["--grid", "2x2", "--labels", "labels.npy"], "--labels goes with --count"),
    ],
)
def test_bad_usage(arguments: list[str], message: str, tmp_path: Path) -> None:
    path = tmp_path / "faces.png"
    result = CliRunner().invoke(main, [*arguments, "-o", str(path)])
    assert result.exit_code == 2
    assert message in result.output
    assert not path.exists()


def test_an_unknown_picture_format_is_refused(tmp_path: Path) -> None:
    arguments = ["--grid", "1x1", "--processes", "1", "-o", str(tmp_path / "faces.what")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1 and "'.what'" in result.output
    assert list(tmp_path.iterdir()) == []
