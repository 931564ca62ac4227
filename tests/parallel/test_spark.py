"""The example of docs/distributed.md in Spark: a model in every task of Python."""

from __future__ import annotations

import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import facegen
from facegen.cli.main import main
from facegen.networks.dcgan import latents

for module in ("pyspark", "pandas", "pyarrow"):
    pytest.importorskip(module, reason=f"{module} is not installed")
if shutil.which("java") is None:
    pytest.skip("java is not installed, and Spark runs on it", allow_module_level=True)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "distributed.md"
BLOCK = re.compile(r"^```python\n((?:(?!^```).)*mapInPandas.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def spark(monkeypatch: pytest.MonkeyPatch) -> Any:
    from pyspark.sql import SparkSession

    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    session = builder.getOrCreate()
    yield session
    session.stop()


def test_the_example_of_the_docs(spark: Any, tmp_path: Path) -> None:
    import pandas as pd

    network, values = str(tmp_path / "network.bin"), latents(range(10))
    assert main(["init", "dcgan", "--seed", "1", network, "--quiet"]) == 0
    table = pd.DataFrame({"index": range(10), "latent": [row.tolist() for row in values]})
    (code,) = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    names: dict[str, Any] = {"latents": spark.createDataFrame(table)}
    exec(code.replace("/shared/network.bin", network), names)
    rows = names["made"].toPandas().sort_values("index")
    expected = facegen.Generator(network, device="cpu")(values)
    np.testing.assert_array_equal(np.stack(rows["face"]), expected.reshape(10, -1))
