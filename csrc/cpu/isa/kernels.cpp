// Compiled once per instruction set: FACEGEN_ISA names the table that this object provides.
#include "cpu/kernels.h"

#ifdef __AVX2__
#include "isa/binary_tables.h"
#else
#include "isa/binary_words.h"
#endif
#include "isa/depthwise.h"
#include "isa/direct_tile.h"
#include "isa/fft_ops.h"
#include "isa/fma_burst.h"
#include "isa/gemm_tile.h"
#include "isa/row_ops.h"
#include "isa/table_names.h"
#include "isa/thin_tile.h"
#include "isa/transpose.h"
#include "isa/winograd_ops.h"

namespace facegen::cpu {

const Kernels* FACEGEN_TABLE(_kernels)() {
  static constexpr Kernels kernels = {
      FACEGEN_ISA_TEXT, kProducts,
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
      nullptr,
  };
  return &kernels;
}

}  // namespace facegen::cpu
