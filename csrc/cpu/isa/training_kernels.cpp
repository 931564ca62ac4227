// Compiled once per instruction set: FACEGEN_ISA names the table that this object provides.
#include "cpu/training/kernels.h"

#include "isa/outer_tile.h"
#include "isa/recolour.h"
#include "isa/table_names.h"
#include "isa/training_rows.h"
#include "isa/training_products.h"
#include "isa/warp.h"
#include "isa/weight_rows.h"

namespace facegen::cpu {

const TrainingKernels* FACEGEN_TABLE(_training_kernels)() {
  static constexpr TrainingKernels kernels = {
      kOuterRows, kLanes, outer_product, channel_sums, activate_gradient, norm_sums, norm_gradient,
      normalise, activate_row, scale_and_shift, add_row, sum_of_squares, sgd, adam, round_weights,
      move_average, dropout, max_pool_gradient, warp_row, warp_row_adjoint, colour_sums, recolour, prelu,
      prelu_gradient, sum_of_products, channel_products, multiply_rows_by, dot, softmax_gradient,
      layer_norm_gradient, layer_norm_sums,
  };
  return &kernels;
}

}  // namespace facegen::cpu
