"""The package onnx's own tests of operators: its backend node tests, with their data.

Each is one node. What is constant in files of networks (weights, axes, sizes) is an input there: it
becomes an initialiser here. Every test of an operator that is read either passes, or is refused for
one of the reasons below, which are all that there are.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import facegen
from facegen import FormatError
from facegen.onnx_files.operators import OPERATORS

onnx = pytest.importorskip("onnx", reason="onnx is not installed")

PASSED = 176  # of onnx 1.23's
# What is said where one is refused, and the tests that it is said of.
REFUSED = {
    r"found (U?INT|BOOL|FLOAT[48]|UNDEFINED|no tensor)": """
        add_int16 add_int8 add_uint16 add_uint32 add_uint64 add_uint8 cast_FLOAT4E2M1_to_FLOAT
        cast_FLOAT4E2M1_to_FLOAT16 cast_FLOAT8E4M3FNUZ_to_FLOAT cast_FLOAT8E4M3FNUZ_to_FLOAT16
        cast_FLOAT8E4M3FN_to_FLOAT cast_FLOAT8E4M3FN_to_FLOAT16 cast_FLOAT8E5M2FNUZ_to_FLOAT
        cast_FLOAT8E5M2FNUZ_to_FLOAT16 cast_FLOAT8E5M2_to_FLOAT cast_FLOAT8E5M2_to_FLOAT16
        cast_INT2_to_FLOAT cast_INT2_to_FLOAT16 cast_INT2_to_INT8 cast_INT4_to_FLOAT
        cast_INT4_to_FLOAT16 cast_INT4_to_INT8 cast_UINT2_to_FLOAT cast_UINT2_to_FLOAT16
        cast_UINT2_to_UINT8 cast_UINT4_to_FLOAT cast_UINT4_to_FLOAT16 cast_UINT4_to_UINT8
        cast_e8m0_FLOAT8E8M0_to_FLOAT cast_e8m0_FLOAT8E8M0_to_FLOAT16 clip_default_int8_inbounds
        clip_default_int8_max clip_default_int8_min div_int16 div_int32_trunc div_int8
        div_uint16 div_uint32 div_uint64 div_uint8 edge_pad identity_opt identity_sequence
        max_int16 max_int32 max_int64 max_int8 max_uint16 max_uint32 max_uint64 max_uint8
        maxpool_2d_uint8 min_int16 min_int32 min_int64 min_int8 min_uint16 min_uint32 min_uint64
        min_uint8 mul_int16 mul_int8 mul_uint16 mul_uint32 mul_uint64 mul_uint8
        pow_types_int32_float32 pow_types_int32_int32 pow_types_int64_float32
        pow_types_int64_int64 reduce_max_bool_inputs reduce_max_empty_set_bool reflect_pad
        sub_int16 sub_int8 sub_uint16 sub_uint32 sub_uint64 sub_uint8 wrap_pad
    """,
    r"casts to what is no float": """
        cast_FLOAT16_to_FLOAT4E2M1 cast_FLOAT16_to_FLOAT8E4M3FN cast_FLOAT16_to_FLOAT8E4M3FNUZ
        cast_FLOAT16_to_FLOAT8E5M2 cast_FLOAT16_to_FLOAT8E5M2FNUZ cast_FLOAT16_to_INT2
        cast_FLOAT16_to_INT4 cast_FLOAT16_to_UINT2 cast_FLOAT16_to_UINT4
        cast_FLOAT_to_FLOAT4E2M1 cast_FLOAT_to_FLOAT8E4M3FN cast_FLOAT_to_FLOAT8E4M3FNUZ
        cast_FLOAT_to_FLOAT8E5M2 cast_FLOAT_to_FLOAT8E5M2FNUZ cast_FLOAT_to_INT2
        cast_FLOAT_to_INT4 cast_FLOAT_to_UINT2 cast_FLOAT_to_UINT4
        cast_e8m0_FLOAT16_to_FLOAT8E8M0 cast_e8m0_FLOAT_to_FLOAT8E8M0
        cast_no_saturate_FLOAT16_to_FLOAT8E4M3FN cast_no_saturate_FLOAT16_to_FLOAT8E4M3FNUZ
        cast_no_saturate_FLOAT16_to_FLOAT8E5M2 cast_no_saturate_FLOAT16_to_FLOAT8E5M2FNUZ
        cast_no_saturate_FLOAT_to_FLOAT8E4M3FN cast_no_saturate_FLOAT_to_FLOAT8E4M3FNUZ
        cast_no_saturate_FLOAT_to_FLOAT8E5M2 cast_no_saturate_FLOAT_to_FLOAT8E5M2FNUZ
    """,
    r"fixed number of channels, found \w+ \((\d+|\?)?\)": """
        celu_bfloat16 celu_float16 clip_default_inbounds clip_example clip_inbounds
        clip_min_greater_than_max clip_outbounds clip_splitbounds concat_1d_axis_0
        concat_1d_axis_negative_1 div_example dropout_default_old elu_example exp_example
        gather_negative_indices gelu_default_1 gelu_tanh_1 hardsigmoid_example leakyrelu_example
        log_example matmul_1d_1d matmul_1d_3d max_example max_float16 max_float32 max_float64
        max_one_input max_two_inputs mean_example mean_one_input mean_two_inputs min_example
        min_float16 min_float32 min_float64 min_one_input min_two_inputs mish mul_example
        neg_example pow_bcast_scalar pow_example pow_types_float32_int32 pow_types_float32_int64
        pow_types_float32_uint32 pow_types_float32_uint64 reciprocal_example selu_example
        sigmoid_example sign softplus_example softsign_example split_1d_uneven_split_opset18
        split_equal_parts_1d_opset13 split_equal_parts_1d_opset18
        split_equal_parts_default_axis_opset13 split_equal_parts_default_axis_opset18
        split_variable_parts_1d_opset13 split_variable_parts_1d_opset18
        split_variable_parts_default_axis_opset13 split_variable_parts_default_axis_opset18
        split_zero_size_splits_opset13 split_zero_size_splits_opset18 sqrt_example sub_example
        sum_example sum_one_input sum_two_inputs swish tanh_example
    """,
    r"fixed number of channels, found": """
        reduce_max_empty_set reduce_sum_empty_set reduce_sum_empty_set_non_reduced_axis_zero
    """,
    r"found (one|an array) of \d dimensions": """
        averagepool_3d_default
        averagepool_3d_dilations_large_count_include_pad_is_0_ceil_mode_is_False
        averagepool_3d_dilations_large_count_include_pad_is_0_ceil_mode_is_True
        averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_False
        averagepool_3d_dilations_large_count_include_pad_is_1_ceil_mode_is_True
        averagepool_3d_dilations_small convtranspose_3d maxpool_3d_default maxpool_3d_dilations
        maxpool_3d_dilations_use_ref_impl maxpool_3d_dilations_use_ref_impl_large
    """,
    r"the batch": """
        argmax_default_axis_example argmax_default_axis_example_select_last_index
        argmax_default_axis_random argmax_default_axis_random_select_last_index flatten_axis0
        flatten_axis2 flatten_axis3 flatten_negative_axis1 flatten_negative_axis2
        flatten_negative_axis4 gather_0 gemm_all_attributes gemm_transposeA
        layer_normalization_2d_axis0 layer_normalization_2d_axis_negative_2
        layer_normalization_3d_axis0_epsilon layer_normalization_3d_axis_negative_3_epsilon
        layer_normalization_4d_axis0 layer_normalization_4d_axis_negative_4 logsoftmax_axis_0
        reshape_allowzero_reordered reshape_negative_extended_dims reshape_one_dim
        reshape_reordered_all_dims slice slice_neg_steps softmax_axis_0 squeeze
        transpose_all_permutations_2 transpose_all_permutations_3 transpose_all_permutations_4
        transpose_all_permutations_5 transpose_default unsqueeze_axis_0
    """,
    r"does not depend on an input": """
        dropout_default_mask dropout_default_mask_ratio layer_normalization_2d_axis1
        layer_normalization_2d_axis_negative_1 maxpool_with_argmax_2d_precomputed_pads
        maxpool_with_argmax_2d_precomputed_strides shape shape_clip_end shape_clip_start
        shape_end_1 shape_end_negative_1 shape_example shape_start_1 shape_start_1_end_2
        shape_start_1_end_negative_1 shape_start_greater_than_end shape_start_negative_1
    """,
    r"over height and width, axes 2 and 3": """
        reduce_max_default_axes_keepdim_example reduce_max_default_axes_keepdims_random
        reduce_max_do_not_keepdims_example reduce_max_do_not_keepdims_random
        reduce_max_keepdims_example reduce_max_keepdims_random
        reduce_max_negative_axes_keepdims_example reduce_max_negative_axes_keepdims_random
        reduce_mean_default_axes_keepdims_example reduce_mean_default_axes_keepdims_random
        reduce_mean_do_not_keepdims_example reduce_mean_do_not_keepdims_random
        reduce_mean_keepdims_example reduce_mean_keepdims_random
        reduce_mean_negative_axes_keepdims_example reduce_mean_negative_axes_keepdims_random
        reduce_sum_default_axes_keepdims_example reduce_sum_default_axes_keepdims_random
        reduce_sum_do_not_keepdims_example reduce_sum_do_not_keepdims_random
        reduce_sum_empty_axes_input_noop reduce_sum_empty_axes_input_noop_example
        reduce_sum_keepdims_example reduce_sum_keepdims_random
        reduce_sum_negative_axes_keepdims_example reduce_sum_negative_axes_keepdims_random
    """,
    r"its (constant|slope|exponent|vector C) |could not be broadcast": """
        add_bcast div_bcast gemm_default_matrix_bias mul_bcast pow pow_bcast_array
        prelu_broadcast prelu_example sub_bcast
    """,
    r"is constant, expected one that is computed": """
        concat_2d_axis_0 concat_2d_axis_negative_2 concat_3d_axis_0 concat_3d_axis_2
        concat_3d_axis_negative_1 concat_3d_axis_negative_3
    """,
    r"expected vectors \(n": """
        matmul_3d matmul_4d matmul_4d_1d matmul_bcast
    """,
    r"its coordinates|it smooths|cubic_coeff_a|whole number of pixels": """
        resize_downsample_scales_cubic_A_n0p5_exclude_outside
        resize_downsample_scales_cubic_align_corners resize_downsample_scales_cubic_antialias
        resize_downsample_scales_linear_align_corners resize_downsample_scales_linear_antialias
        resize_downsample_scales_linear_half_pixel_symmetric
        resize_downsample_sizes_cubic_antialias resize_downsample_sizes_linear_antialias
        resize_downsample_sizes_nearest_not_larger resize_downsample_sizes_nearest_not_smaller
        resize_tf_crop_and_resize resize_tf_crop_and_resize_axes_2_3
        resize_tf_crop_and_resize_axes_3_2 resize_tf_crop_and_resize_extrapolation_value
        resize_upsample_scales_cubic_A_n0p5_exclude_outside
        resize_upsample_scales_linear_half_pixel_symmetric
        resize_upsample_sizes_nearest_not_larger resize_upsample_sizes_nearest_not_smaller
    """,
    r"it pads": """
        constant_pad constant_pad_axes constant_pad_negative_axes
    """,
    r"it is one of training": """
        batchnorm_epsilon_training_mode batchnorm_example_training_mode training_dropout
        training_dropout_default training_dropout_default_mask training_dropout_mask
        training_dropout_zero_ratio training_dropout_zero_ratio_mask
    """,
    r"its axis is|first largest channel": """
        argmax_keepdims_example_select_last_index argmax_keepdims_random_select_last_index
        argmax_negative_axis_keepdims_example_select_last_index
        argmax_negative_axis_keepdims_random
        argmax_negative_axis_keepdims_random_select_last_index
        argmax_no_keepdims_example_select_last_index argmax_no_keepdims_random_select_last_index
        logsoftmax_axis_2 logsoftmax_default_axis logsoftmax_negative_axis softmax_axis_2
        softmax_default_axis softmax_negative_axis
    """,
    r"its dilation|it leaves nothing|as a part of GELU": """
        averagepool_2d_dilations erf maxpool_2d_dilations slice_start_out_of_bounds
    """,
    r"normalises several axes|to an order that no layer here makes": """
        layer_normalization_3d_axis1_epsilon layer_normalization_3d_axis2_epsilon
        layer_normalization_3d_axis_negative_1_epsilon
        layer_normalization_3d_axis_negative_2_epsilon layer_normalization_4d_axis1
        layer_normalization_4d_axis2 layer_normalization_4d_axis3
        layer_normalization_4d_axis_negative_1 layer_normalization_4d_axis_negative_2
        layer_normalization_4d_axis_negative_3 layer_normalization_default_axis
    """,
}


@cache
def cases() -> dict[str, Any]:
    """The node tests of operators that are read, by their names."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of dividing by zero, on purpose
        found = collect_testcases(None)
    return {
        case.name: case
        for case in found
        if "_expanded" not in case.name and len(case.model.graph.node) == 1
        if case.model.graph.node[0].op_type in OPERATORS
        if case.model.graph.node[0].domain in ("", "ai.onnx")
    }


def outcome(folder: Path, case: Any) -> tuple[str, str]:
    """("passed" or "refused" or "wrong", why)."""
    inputs, wanted = case.data_sets[0]
    said = ""
    for model, xs in _as_files(case.model, inputs):
        path = folder / "case.onnx"
        onnx.save(model, path)
        try:
            loaded = facegen.load(path, device="cpu", precision="strict", algorithm="direct")
        except FormatError as error:
            said = said or str(error).removeprefix(f"{path}: ")
            continue
        found = loaded(*xs)
        return _compared(found if isinstance(found, tuple) else (found,), wanted, case)
    return "refused", said


def _as_files(model: Any, values: Any) -> Iterator[tuple[Any, list[np.ndarray]]]:
    """The model with its inputs from the second on as constants; then with none; then the first."""
    names = [end.name for end in model.graph.input]
    values = [_array(value) for value in values]
    for kept in dict.fromkeys((tuple(names[:1]), tuple(names), tuple(names[1:2]))):
        changed = onnx.ModelProto()
        changed.CopyFrom(model)
        del changed.graph.input[:]
        xs = []
        for end, value in zip(model.graph.input, values, strict=True):
            if end.name in kept:
                changed.graph.input.append(end)
                xs.append(value)
            elif value is not None:
                tensor = onnx.numpy_helper.from_array(value, end.name)
                changed.graph.initializer.append(tensor)
        yield changed, xs


def _array(value: Any) -> Any:
    """Of a tensor of ONNX what NumPy has for it; None of what is no tensor."""
    if isinstance(value, onnx.TensorProto):
        value = onnx.numpy_helper.to_array(value)
    if getattr(value, "dtype", None) is not None and value.dtype.name == "bfloat16":
        return value.astype(np.float32)  # which NumPy itself has not
    return value if isinstance(value, np.ndarray | np.generic) else None


def _compared(found: Any, wanted: Any, case: Any) -> tuple[str, str]:
    for a, b in zip(found, wanted, strict=True):
        b = np.asarray(_array(b))
        if a.shape != b.shape:
            return "wrong", f"shape {a.shape}, expected {b.shape}"
        tolerance = max(case.rtol, 1e-5)  # float32's; of halves what the case says
        if not np.allclose(a, b.astype(np.float64), tolerance, tolerance, equal_nan=True):
            return "wrong", f"off by {np.abs(a - b).max():.3g}"
    return "passed", ""


@pytest.mark.slow
def test_node_tests(tmp_path: Path) -> None:
    """All at once: to make their data takes longer than to run them."""
    listed = {f"test_{name}": why for why, names in REFUSED.items() for name in names.split()}
    outcomes = {name: outcome(tmp_path, case) for name, case in cases().items()}
    wrong = {name: why for name, (kind, why) in outcomes.items() if kind == "wrong"}
    assert wrong == {}
    refused = {name: why for name, (kind, why) in outcomes.items() if kind == "refused"}
    unlike = {n: why for n, why in refused.items() if not re.search(listed.get(n, "$^"), why)}
    assert unlike == {}, "refused, and not for a reason of the table"
    passed = [name for name, (kind, _) in outcomes.items() if kind == "passed"]
    assert not set(passed) & set(listed), "these pass by now: take them out of the table"
    assert len(passed) >= PASSED
