#include "cuda/hopper_pool.h"

namespace facegen::cuda::hopper {
namespace {

bool is_plain_axis(const Axis& axis, int kernel) {
  return axis.dir == 1 && axis.first_tap == 0 && axis.tap_step == 1 && axis.taps == kernel &&
         axis.out_step == 1 && axis.out_origin == 0;
}

bool is_plain(const Epilogue& e) { return !e.scale && !e.shift && e.add.buffer < 0; }

}  // namespace

bool is_pooled_conv(const Step& conv, const Step& pool) {
  const Activation activation = conv.epilogue.activation;
  return conv.op == Op::kGemm && pool.op == Op::kMaxPool && conv.phase_count == 1 &&
         is_plain_axis(conv.phases[0].y, conv.kernel_h) &&
         is_plain_axis(conv.phases[0].x, conv.kernel_w) && is_plain(conv.epilogue) &&
         (activation == Activation::kNone || activation == Activation::kRelu) &&
         is_identity(pool.epilogue);
}

bool is_pooled_by_two(const Step& conv, const Step& pool) {
  if (!is_pooled_conv(conv, pool)) return false;
  const Pool& p = pool.pool;
  return conv.phases[0].y.step == 1 && conv.phases[0].x.step == 1 && p.kernel_h == 2 &&
         p.kernel_w == 2 && p.stride_h == 2 && p.stride_w == 2 && p.pad_top == 0 &&
         p.pad_left == 0 && 2 * pool.out.h <= conv.out.h && 2 * pool.out.w <= conv.out.w;
}

}  // namespace facegen::cuda::hopper
