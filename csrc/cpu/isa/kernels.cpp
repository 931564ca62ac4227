// Compiled once per instruction set: FACEGEN_ISA names the table that this object provides.
#include "cpu/kernels.h"

#include "isa/fma_burst.h"
#include "isa/gemm_tile.h"
#include "isa/row_ops.h"
#include "isa/thin_tile.h"

#define FACEGEN_PASTE_(a, b) a##b
#define FACEGEN_PASTE(a, b) FACEGEN_PASTE_(a, b)
#define FACEGEN_TEXT_(a) #a
#define FACEGEN_TEXT(a) FACEGEN_TEXT_(a)

namespace facegen::cpu {

const Kernels* FACEGEN_PASTE(FACEGEN_ISA, _kernels)() {
  static constexpr Kernels kernels = {
      FACEGEN_TEXT(FACEGEN_ISA),
      kTileRows, kLanes, row_panel_bytes, weight_panel_bytes, gather, pack, multiply,
      kThinVectors, thin_multiply, transpose,
      epilogue, maximum_row, blend, softmax,
      fma_burst,
  };
  return &kernels;
}

}  // namespace facegen::cpu
