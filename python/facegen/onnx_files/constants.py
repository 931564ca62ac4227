"""What depends on no input is computed once, by onnx's own evaluator in NumPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from facegen.errors import first_line

# Ops whose result is no larger than what they read, and the two that state a constant.
FOLDED = {
    *("Abs", "Add", "Cast", "Ceil", "Concat", "Constant", "ConstantOfShape", "Div", "Exp"),
    *("Flatten", "Floor", "Gather", "Identity", "Mul", "Neg", "Reciprocal", "ReduceProd"),
    *("Reshape", "Shape", "Slice", "Sqrt", "Squeeze", "Sub", "Transpose", "Unsqueeze"),
}
MOST_NUMBERS = 2**28  # of one constant that is computed: 1 GiB of float32


def fold(proto: Any, inputs: list[np.ndarray | None], opset: int) -> list[np.ndarray]:
    """The outputs of a node that reads constants alone.

    Raises
    ------
    ValueError
        It cannot be computed, or would be too large.
    """
    from onnx import TensorProto, helper
    from onnx.reference import ReferenceEvaluator

    given = {n: x for n, x in zip(proto.input, inputs, strict=True) if x is not None}
    shapes = [x.shape for x in given.values()]
    if proto.op_type == "ConstantOfShape":
        shapes = [tuple(map(int, next(iter(given.values())).ravel()))]
    elif proto.op_type in ("Add", "Sub", "Mul", "Div"):
        shapes = [np.broadcast_shapes(*shapes)]
    elif proto.op_type == "Gather":
        shapes = [(*shapes[0], *shapes[1])]
    if any(math.prod(shape) > MOST_NUMBERS for shape in shapes):
        raise ValueError(f"it makes a constant of more than {MOST_NUMBERS:,} numbers")
    values = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape)
        for name, x in given.items()
    ]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in proto.output
    ]
    graph = helper.make_graph([proto], "constant", values, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    try:
        return [np.asarray(each) for each in ReferenceEvaluator(model).run(None, given)]
    except Exception as error:  # the evaluator's own, NumPy's and Python's
        raise ValueError(f"this constant cannot be computed: {first_line(error)}") from None
