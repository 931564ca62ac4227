#include "cuda/hopper/training/product_boxes.h"

#include <algorithm>
#include <array>

#include "cuda/hopper/parts/map.h"

namespace facegen::cuda::hopper {
namespace {

using Lengths = std::array<uint32_t, 5>;

// The 16 rows that a warp stores at once.
Box stored_box(const ProductPlan& plan) {
  constexpr int kLog2Rows = 4;
  if (plan.kind == ProductKind::kWeight) return {kLog2Rows, 0, 0};
  const int w = std::min(kLog2Rows, plan.box.log2_w), h = std::min(kLog2Rows - w, plan.box.log2_h);
  return {w, h, kLog2Rows - w - h};
}

// (column, channel, tap, 0, part)
CUtensorMap see_gradient(const ProductArguments& args, const Lengths& box) {
  const int64_t line = args.out_pitch, tap = args.channels * line;
  return float_map({args.out, {args.columns, args.channels, args.part_floats / tap, 1, args.plan.splits},
                    {line, tap, args.part_floats, args.part_floats}},
                   box);
}

// (column, x, y, image, part)
CUtensorMap see_phase(const ProductArguments& args, const TrainingPhase& phase, const Lengths& box) {
  const int64_t pixel = args.out_pitch;
  return float_map({args.out + phase.output_pixel(0, 0) * pixel,
                    {args.columns, std::max(1, phase.x.out), std::max(1, phase.y.out), args.images, args.plan.splits},
                    {phase.x.out_step * pixel, int64_t{phase.y.out_step} * phase.map_w * pixel, args.out_image_floats,
                     args.part_floats}},
                   box);
}

}  // namespace

void see_boxes(ProductArguments& args) {
  const Box shape = stored_box(args.plan);
  const Lengths box = {32, 1u << shape.log2_w, 1u << shape.log2_h, 1u << shape.log2_n, 1};
  if (args.plan.kind == ProductKind::kWeight) {
    args.boxes[0] = see_gradient(args, box);
    return;
  }
  for (int32_t p = 0; p < args.plan.phases; ++p) args.boxes[p] = see_phase(args, args.phases[p], box);
}

}  // namespace facegen::cuda::hopper
