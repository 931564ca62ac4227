"""The light models that come with the package onnx: known networks, without their weights.

Those are made here at random, of a scale that keeps the numbers in bounds: in the files each is one
constant, which would hide a wrong order.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import facegen

onnx = pytest.importorskip("onnx", reason="onnx is not installed")

FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
READ = (
    "bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50", "shufflenet",
    "squeezenet", "vgg19", "zfnet512",
)  # fmt: skip


def model_of(name: str) -> Any:
    """A model with its weights, those made by ConstantOfShape, drawn anew; without its softmax.

    Of such weights the softmax is of one class alone, whatever the scores are.
    """
    model = onnx.load(FOLDER / f"light_{name}.onnx")
    shapes = {t.name: onnx.numpy_helper.to_array(t) for t in model.graph.initializer}
    rng = np.random.default_rng(1)
    kept = []
    for node in model.graph.node:
        if node.op_type != "ConstantOfShape":
            kept.append(node)
            continue
        shape = tuple(int(size) for size in shapes[node.input[0]])
        model.graph.initializer.append(
            onnx.numpy_helper.from_array(drawn(rng, shape), node.output[0])
        )
    if kept[-1].op_type == "Softmax":
        (scores,) = kept.pop().input
        model.graph.output[0].name = scores
    del model.graph.node[:]
    model.graph.node.extend(kept)
    model.ir_version = 8  # from 4 on weights need not be inputs too
    return model


def drawn(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Weights of variance 2 / fan-in; vectors from 0.5 to 1, which suits scales and variances."""
    if len(shape) < 2:
        return rng.uniform(0.5, 1, shape).astype(np.float32)
    scale = np.sqrt(2 / np.prod(shape[1:]))
    return (rng.standard_normal(shape) * scale).astype(np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("name", READ)
def test_light_models(tmp_path: Path, name: str) -> None:
    model = model_of(name)
    path = tmp_path / "light.onnx"
    onnx.save(model, path)
    ours = facegen.load(path, device="cpu", precision="strict", algorithm="direct")
    x = np.random.default_rng(2).standard_normal((1, *ours.inputs[0].shape), dtype=np.float32)
    given = {ours.inputs[0].name: x}
    try:
        import onnxruntime
    except ImportError:
        from onnx.reference import ReferenceEvaluator

        (want,) = ReferenceEvaluator(model).run(None, given)
    else:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        (want,) = session.run(None, given)
    got = ours(x)
    assert got.shape == want.shape
    # A hundred layers of float32 each; the other side rounds as often.
    np.testing.assert_allclose(got, want, rtol=0, atol=2e-4 * np.abs(want).max())
    assert np.abs(want).max() > 0 and len(np.unique(want)) > 100


def test_all_of_them_are_here() -> None:
    found = {p.stem.removeprefix("light_") for p in FOLDER.glob("light_*.onnx")}
    assert found == set(READ)
