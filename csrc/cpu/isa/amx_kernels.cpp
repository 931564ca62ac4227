// AMX multiplies tiles; everything else is AVX-512's. FACEGEN_ISA names the tables that this object provides.
#include "cpu/kernels.h"
#include "isa/amx_bfloat16.h"
#include "isa/amx_fixed_point.h"
#include "isa/binary_amx.h"
#include "isa/table_names.h"

namespace facegen::cpu {

const Kernels* FACEGEN_TABLE(_kernels)() {
  static const Kernels kernels = [] {
    Kernels result = *avx512_kernels();
    result.isa = FACEGEN_ISA_TEXT;
    result.products = Products::kFixedPoint;
    result.most_depth = fixed_point::kMostDepth;
    result.tile_rows = fixed_point::kTileRows;
    result.panel_columns = fixed_point::kPanelColumns;
    result.row_panel_bytes = fixed_point::row_panel_bytes;
    result.weight_panel_bytes = fixed_point::weight_panel_bytes;
    result.gather = fixed_point::gather;
    result.pack = fixed_point::pack;
    result.multiply = fixed_point::multiply;
    result.begin_task = begin_task;
    result.end_task = end_task;
    result.multiply_rows = nullptr;  // Winograd's transforms would cost more than they save
    result.binary = &binary_amx::kKernels;
    result.vectors = avx512_kernels;
    return result;
  }();
  return &kernels;
}

const Kernels* FACEGEN_TABLE(_bfloat16_kernels)() {
  static const Kernels kernels = [] {
    Kernels result = *FACEGEN_TABLE(_kernels)();
    result.isa = FACEGEN_ISA_TEXT "_bfloat16";
    result.products = Products::kBfloat16;
    result.vectors = nullptr;
    result.most_depth = bfloat16::kMostDepth;
    result.tile_rows = bfloat16::kTileRows;
    result.panel_columns = bfloat16::kPanelColumns;
    result.row_panel_bytes = bfloat16::row_panel_bytes;
    result.weight_panel_bytes = bfloat16::weight_panel_bytes;
    result.gather = bfloat16::gather;
    result.pack = bfloat16::pack;
    result.multiply = bfloat16::multiply;
    return result;
  }();
  return &kernels;
}

}  // namespace facegen::cpu
