// Compiled once per instruction set: FACEGEN_ISA names the table that this object provides.
#include "cpu/kernels.h"

#if defined(FACEGEN_AMX)
#include "isa/binary_amx.h"
#elif defined(__AVX2__)
#include "isa/binary_tables.h"
#else
#include "isa/binary_words.h"
#endif
#include "isa/depthwise.h"
#include "isa/direct_tile.h"
#include "isa/fft_ops.h"
#include "isa/fma_burst.h"
#ifdef FACEGEN_AMX
#include "isa/amx_bfloat16.h"
#include "isa/amx_fixed_point.h"
#else
#include "isa/gemm_tile.h"
#endif
#include "isa/row_ops.h"
#include "isa/thin_tile.h"
#include "isa/transpose.h"
#include "isa/winograd_ops.h"

#define FACEGEN_PASTE_(a, b) a##b
#define FACEGEN_PASTE(a, b) FACEGEN_PASTE_(a, b)
#define FACEGEN_TEXT_(a) #a
#define FACEGEN_TEXT(a) FACEGEN_TEXT_(a)

#ifdef FACEGEN_AMX
using namespace fixed_point;
#endif

namespace facegen::cpu {

#ifdef FACEGEN_AMX
constexpr auto kVectors = avx512_kernels;
#else
constexpr const Kernels* (*kVectors)() = nullptr;
#endif

const Kernels* FACEGEN_PASTE(FACEGEN_ISA, _kernels)() {
  static constexpr Kernels kernels = {
      FACEGEN_TEXT(FACEGEN_ISA), kProducts,
      kMostDepth, kTileRows, kPanelColumns, row_panel_bytes, weight_panel_bytes,
      gather, pack, multiply,
      begin_task, end_task,
      direct_multiply,
      multiply_rows, winograd_input, winograd_output, winograd_weights,
      fft_forward, fft_inverse,
      kThinVectors, kLanes, thin_multiply, transpose,
      epilogue, depthwise, max_pool, moments, centre_and_scale, weighted_sum,
      row_moments, centre_and_multiply, response_norm, softmax,
      fma_burst,
      &kBinary,
      kVectors,
  };
  return &kernels;
}

#ifdef FACEGEN_AMX
const Kernels* FACEGEN_PASTE(FACEGEN_ISA, _bfloat16_kernels)() {
  static const Kernels kernels = [] {
    Kernels result = *FACEGEN_PASTE(FACEGEN_ISA, _kernels)();
    result.isa = FACEGEN_TEXT(FACEGEN_ISA) "_bfloat16";
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
#endif

}  // namespace facegen::cpu
