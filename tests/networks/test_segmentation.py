from __future__ import annotations

import math

import pytest

from facegen.networks import segmentation
from facegen.networks.segmentation import SEGMENTATION
from facegen.nn import lower

# The table of the specification: name, output (height = width, channels), parameters.
TABLE = [
    ("conv1", (111, 96), 14_208),
    ("pool1", (55, 96), 0),
    ("fire2", (55, 128), 11_920),
    ("fire3", (55, 128), 12_432),
    ("fire4", (55, 256), 45_344),
    ("pool4", (27, 256), 0),
    ("fire5", (27, 256), 49_440),
    ("fire6", (27, 384), 104_880),
    ("fire7", (27, 384), 111_024),
    ("fire8", (27, 512), 188_992),
    ("pool8", (13, 512), 0),
    ("fire9", (13, 512), 197_184),
    ("conv10", (13, 1000), 513_000),
    ("score_conv10", (13, 21), 21_021),
    ("score_pool8", (13, 21), 10_773),
    ("conv11", (27, 21), 3_969),
    ("score_pool4", (27, 21), 5_397),
    ("conv12", (55, 21), 3_969),
    ("score_pool1", (55, 21), 2_037),
    ("conv13", (227, 21), 53_361),
]


@pytest.mark.parametrize(("name", "output", "parameters"), TABLE)
def test_a_row_of_the_table(name: str, output: tuple[int, int], parameters: int) -> None:
    size, channels = output
    shapes = {node.name: node.shape for node in segmentation.graph().nodes}
    assert shapes.get(name, shapes.get(f"{name}/concat")) == (size, size, channels)
    own = [
        math.prod(shape)
        for parameter, shape in SEGMENTATION.shapes.items()
        if parameter.startswith((f"{name}.", f"{name}/"))
    ]
    assert sum(own) == parameters


def test_the_parameters_in_all() -> None:
    graph = segmentation.graph()
    assert graph.parameter_count == 1_348_951
    assert sum(parameters for _, _, parameters in TABLE) == 1_348_951


def test_relu_concat_and_sums_are_fused() -> None:
    program = lower(segmentation.graph(), None)
    assert len(program.steps) == 36  # 33 convolutions, 3 pools
    assert program.flops == segmentation.graph().flops
