"""What lies in a folder of results, whoever made it, touches nothing outside of the folder."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from runs import go, statuses

from facegen import FacegenError
from facegen.photos.photo import Photo
from facegen.pictures.items import Item
from facegen.pictures.record import settings_digest
from facegen.pictures.results import FolderResults
from facegen.pictures.run import run
from facegen.pictures.task import Made, Task
from facegen.runs.face_results import FaceResults, of_latent
from files import negative, one, png

PRECIOUS = b"precious"
SETTINGS = settings_digest({"of": "another run"})


def line(outputs: Any, **others: Any) -> dict[str, Any]:
    """As a run of other settings has noted that it made outputs of the picture a.png."""
    data = Path("a.png").read_bytes()
    return {
        "source": os.path.abspath("a.png"),
        "size": len(data),
        "mtime_ns": os.stat("a.png").st_mtime_ns,
        "sha256": hashlib.sha256(data).hexdigest(),
        "settings": SETTINGS,
        "outputs": outputs,
        "facts": {},
        "written_ns": 1,
    } | others


def lay(result: bool = True) -> None:
    """Make a.png, the folder elsewhere, and the folder out with a result and a manifest."""
    Path("a.png").write_bytes(png())
    Path("elsewhere/sub").mkdir(parents=True)
    for name in ("elsewhere/x", "elsewhere/sub/y.png", "beside.txt"):
        Path(name).write_bytes(PRECIOUS)
    Path("out/.facegen").mkdir(parents=True)
    if result:
        Path("out/a.png").write_bytes(b"old")


def note(*lines: object) -> None:
    texts = [entry if isinstance(entry, bytes) else json.dumps(entry).encode() for entry in lines]
    Path("out/.facegen/0-of-1-rank-0.jsonl").write_bytes(b"\n".join(texts) + b"\n")


def untouched() -> bool:
    kept = ("elsewhere/x", "elsewhere/sub/y.png", "beside.txt")
    names = {str(path) for path in Path("elsewhere").rglob("*")}
    return all(Path(name).read_bytes() == PRECIOUS for name in kept) and names == {
        "elsewhere/x",
        "elsewhere/sub",
        "elsewhere/sub/y.png",
    }


def colour() -> str:
    return statuses(go([one("a.png", "out/a.png")]))


@pytest.mark.parametrize("name", ["../beside.txt", "../elsewhere/x", "sub/../../beside.txt", "/"])
def test_names_that_lead_out(name: str) -> None:
    lay()
    name = os.path.abspath("elsewhere/x") if name == "/" else name
    note(line({"a.png": 3}), line({"a.png": 3, name: len(PRECIOUS)}, written_ns=2))
    assert colour() == "d" and untouched()  # the line before counts
    assert colour() == "s"


@pytest.mark.parametrize("link", ["to a file", "to a folder", "to a folder inside"])
def test_links_that_lead_out(link: str) -> None:
    """What was made together with a result that is made anew is removed, but not through a link."""
    lay()
    if link == "to a file":
        name, size = "a_b.png", len(PRECIOUS)
        Path("out/a_b.png").symlink_to(os.path.abspath("elsewhere/x"))
    elif link == "to a folder":
        name, size = "a_sub/y.png", len(PRECIOUS)
        Path("out/a_sub").symlink_to(os.path.abspath("elsewhere/sub"))
    else:
        name, size = "a_link/z.png", 1
        Path("out/inner").mkdir()
        Path("out/inner/z.png").write_bytes(b"z")
        Path("out/a_link").symlink_to("inner")
    note(line({"a.png": 3, name: size}))
    assert colour() == "d" and untouched()
    assert os.path.lexists(f"out/{name}") == (link != "to a folder inside")


def test_only_what_the_line_speaks_of_is_removed() -> None:
    lay()
    for name in ("a_edited.png", "a_mask.png"):
        Path("out", name).write_bytes(PRECIOUS)
    Path("out/a_folder").mkdir()
    note(line({"a.png": 3, "a_edited.png": 3, "a_mask.png": len(PRECIOUS), "a_folder": 4096}))
    assert colour() == "d"
    assert sorted(os.listdir("out")) == [".facegen", "a.png", "a_edited.png", "a_folder"]


def test_only_what_is_named_as_a_result_of_the_picture_is_removed() -> None:
    """Whatever a line says: anybody may have written it."""
    lay()
    others = ["ab.png", "b.png", "notes.txt", "sub/a.png", "sub/a_mask.png", "b_a.png"]
    others += ["a_notes.txt", "a.raw", "a-b.tar.gz", "a_b"]
    results = ["a.jpg", "a_areas.json", "a_masks/dog.png"]
    for name in others + results:
        Path("out", name).parent.mkdir(exist_ok=True)
        Path("out", name).write_bytes(PRECIOUS)
    note(line({"a.png": 3, **dict.fromkeys(others + results, len(PRECIOUS))}))
    assert colour() == "d"
    assert all(Path("out", name).read_bytes() == PRECIOUS for name in others)
    assert not any(Path("out", name).exists() for name in results)
    assert not Path("out/a_masks").exists()


def test_pictures_that_are_to_be_read_stay() -> None:
    """Where they lie among the results, and a line says that they were made of one of them."""
    lay()
    sources = ["out/a.jpg", "out/a-2.jpg", "out/a_3.jpg"]
    for name in sources:
        Path(name).write_bytes(png())
    names = [os.path.basename(name) for name in sources]
    forged = line({"a.png": 3, **dict.fromkeys(names, len(png()))}, source="/nowhere/a.jpg")
    note(forged)
    results = pickle.loads(pickle.dumps(FolderResults("out", False, sources=sources[2:])))
    items = [one(name, f"{os.path.splitext(name)[0]}.png") for name in sources[:2]]
    assert statuses(run(items, negative(), results)) == "dd"
    assert all(Path(name).read_bytes() == png() for name in sources)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_result_that_is_a_link(overwrite: bool) -> None:
    """No run made it, and --overwrite replaces it; what it leads to stays."""
    lay(result=False)
    Path("out/a.png").symlink_to(os.path.abspath("elsewhere/x"))
    note(line({"a.png": len(PRECIOUS)}))
    items = [one("a.png", "out/a.png")]
    if overwrite:
        assert statuses(go(items, overwrite=True)) == "d" and not Path("out/a.png").is_symlink()
    else:
        with pytest.raises(FacegenError, match="out/a.png: exists, and no run is known"):
            go(items)
    assert untouched()


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_result_in_a_folder_that_is_a_link(overwrite: bool) -> None:
    lay()
    Path("out/sub").symlink_to(os.path.abspath("elsewhere/sub"))
    note(line({"sub/y.png": len(PRECIOUS)}))
    for name in ("y.png", "new.png"):
        with pytest.raises(FacegenError, match=f"out/sub/{name}: a link leads out of out"):
            go([one("a.png", f"out/sub/{name}")], overwrite=overwrite)
    assert untouched()


def test_a_folder_of_results_that_is_a_link() -> None:
    """It is what people named."""
    Path("a.png").write_bytes(png())
    Path("disk").mkdir()
    Path("out").symlink_to("disk")
    assert colour() + colour() == "ds"
    assert sorted(os.listdir("disk")) == [".facegen", "a.png"]


@pytest.mark.parametrize("what", ["the manifest's folder", "the manifest"])
def test_a_manifest_that_is_a_link(what: str) -> None:
    """Nothing is written to where it leads, and so nothing is made."""
    lay(result=False)
    manifest = Path("out/.facegen/0-of-1-rank-0.jsonl")
    if what == "the manifest":
        manifest.symlink_to(os.path.abspath("elsewhere/x"))
        report = go([one("a.png", "out/a.png")])
        assert statuses(report) == "f" and str(manifest) in str(report.outcomes[0].error)
    else:
        manifest.parent.rmdir()
        manifest.parent.symlink_to(os.path.abspath("elsewhere/sub"))
        for overwrite in (False, True):
            with pytest.raises(FacegenError, match="out/.facegen: expected a folder"):
                go([one("a.png", "out/a.png")], overwrite=overwrite)
    assert untouched() and os.listdir("out") == [".facegen"]


@pytest.mark.parametrize("kind", ["pipe", "folder", "link to a device"])
def test_manifests_that_are_none(kind: str) -> None:
    lay()
    note(line({"a.png": 3}))
    other = Path("out/.facegen/other.jsonl")
    {"pipe": lambda: os.mkfifo(other), "folder": other.mkdir,
        "link to a device": lambda: other.symlink_to("/dev/zero")}[kind]()  # fmt: skip
    assert colour() + colour() == "ds"


def text(**others: Any) -> str:
    return json.dumps(line({"a.png": 3}, **others))


DAMAGE: dict[str, Callable[[], object]] = {
    "deep": lambda: b"[" * 200_000,
    "deep within": lambda: text()[:-1].encode() + b',"x":' + b'{"":' * 99_999,
    "a number without an end": lambda: text(size=7).replace(": 7", ": " + "9" * 5000).encode(),
    "a large number": lambda: line({"a.png": 3}, written_ns=2**63),
    "infinity": lambda: text(written_ns=7).replace(": 7", ": 1e999").encode(),
    "NaN": lambda: text(facts={"x": float("nan")}).encode(),
    "a size that is none": lambda: line({"a.png": -1}),
    "a size in words": lambda: line({"a.png": "3"}),
    "true": lambda: line({"a.png": True}),
    "a digest that is none": lambda: line({"a.png": 3}, sha256="9f"),
    "settings that are none": lambda: line({"a.png": 3}, settings={"a": 1}),
    "a source that is none": lambda: line({"a.png": 3}, source="a.png"),
    "a time that is none": lambda: line({"a.png": 3}, mtime_ns=1.5),
    "facts that are none": lambda: line({"a.png": 3}, facts=[["a", 1]]),
    "outputs that are none": lambda: line([["a.png", 3]]),
    "a zero byte": lambda: line({"a.png": 3, "b\0": 3}),
    "a surrogate": lambda: line({"a.png": 3, "\ud800": 3}),
    "the manifest itself": lambda: line({"a.png": 3, ".facegen/0-of-1-rank-0.jsonl": 3}),
    "another field": lambda: line({"a.png": 3}, color="red"),
    "another encoding": lambda: text().encode("utf-16"),
    "a long line": lambda: line({"a.png": 3}, facts={"x": "x" * (1 << 20)}),
    "half a line": lambda: text()[:-1].encode(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_lines_count_as_none(damage: str) -> None:
    lay()
    note(DAMAGE[damage]())
    with pytest.raises(FacegenError, match="out/a.png: exists, and no run is known"):
        colour()
    note(line({"a.png": 3}), DAMAGE[damage](), b"\xff\xfe", b"")
    assert colour() + colour() == "ds" and untouched()


@pytest.mark.parametrize("written_ns", [2**61, 2**62])
def test_the_last_line_counts_though_clocks_were_set_back(written_ns: int) -> None:
    lay()
    note(line({"a.png": 3}, written_ns=written_ns))
    assert colour() + colour() == "ds"


def test_latents_beside_have_a_manifest_of_their_own() -> None:
    """A manifest names nothing outside of its folder, so neither does that of faces/."""
    Path("faces").mkdir()
    of = of_latent("seed 7", np.zeros(100, np.float32))
    for _ in range(2):
        results = FaceResults("faces", {})
        for path in ("faces/a.png", "saved.npy"):
            if not results.finished(path, of):
                results.write(path, of, b"content")
        results.close()
    assert sorted(os.listdir()) == [".facegen", "faces", "saved.npy"]
    assert "saved" not in Path("faces/.facegen/0-of-1-rank-0.jsonl").read_text()


PLACES = ["a.png", "b.png", "sub/y.png", "link/y.png", "leak", "../beside.txt", "../elsewhere/x",
    "/etc/passwd", "sub/../../beside.txt", ".", "..", "", "sub", ".facegen", "link",
    "link/../../beside.txt", "a.png/b", "\0", "sub//y.png", "./b.png"]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
SIZES = st.sampled_from([0, 3, len(PRECIOUS)]) | st.integers() | JSON
OUTPUTS = st.dictionaries(st.sampled_from(PLACES) | st.text(max_size=8), SIZES, max_size=6)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "outputs": OUTPUTS.map(lambda names: {"a.png": 3, **names}) | JSON,
        "size": JSON,
        "mtime_ns": JSON,
        "sha256": JSON,
        "settings": JSON,
        "facts": JSON,
        "written_ns": st.integers() | JSON,
        "source": JSON,
    },
)
LINKS = {
    "out/leak": "../elsewhere/x",
    "out/link": "../elsewhere/sub",
    "out/sub/y.png": "../../beside.txt",
    "out/b.png": "../elsewhere/x",
    "out/masks": "../elsewhere",
}


@settings(max_examples=200, deadline=None)
@given(
    hostile=st.lists(FIELDS, min_size=1, max_size=4),
    cut=st.none() | st.integers(0, 300),
    links=st.sets(st.sampled_from(sorted(LINKS))),
    overwrite=st.booleans(),
)
def test_hostile_folders_touch_nothing_else(
    hostile: list[dict[str, Any]],
    cut: int | None,
    links: set[str],
    overwrite: bool,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    before = os.getcwd()
    os.chdir(tmp_path_factory.mktemp("hostile"))
    try:
        lay()
        lines = [line({"a.png": 3}), *(line({"a.png": 3, "b.png": 3}) | h for h in hostile)]
        texts = [json.dumps(entry).encode() for entry in lines]
        note(*texts[:-1], texts[-1][:cut])
        Path("out/sub").mkdir()
        for link in links:
            Path(link).symlink_to(LINKS[link])
        items = [Item("a.png", ("out/a.png", "out/masks/m.png"))]
        with suppress(FacegenError):
            go(items, several(), overwrite)
        with suppress(FacegenError):
            go(
                [one("a.png", "out/sub/y.png"), one("a.png", "out/link/y.png")],
                negative(),
                overwrite,
            )
        assert untouched()
        assert set(os.listdir()) == {"a.png", "beside.txt", "elsewhere", "out"}
    finally:
        os.chdir(before)


def several() -> Task:
    def finish(photo: Photo, value: np.ndarray, outputs: tuple[str, ...]) -> Made:
        return Made({path: b"content" for path in outputs})

    return Task({}, lambda photo: photo.pixels, lambda values: values, finish)
