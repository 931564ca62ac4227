// Max pools: a thread has neighbouring channels of a pixel of y. Windows of 2x2 and of 3x3 have loops whose
// ends are known, so that their readings are under way together.
#include "cuda/runtime/error.h"
#include "cuda/training/pixels.cuh"
#include "cuda/training/pool.cuh"

namespace facegen::cuda {
namespace {

// kKernel: of both axes; 0: any. An operand of y has nothing behind its channels.
template <int kKernel, int kVector>
__global__ void __launch_bounds__(kBlockThreads)
    max_pool_kernel(const __grid_constant__ Pool p, const __grid_constant__ PoolWalk walk, float* y,
                    const __grid_constant__ OperandTarget operand) {
  for_each_place(walk, [&](int64_t image, int oy, int ox, int vector) {
    const int top = p.top(oy), left = p.left(ox), row = p.in_w * p.channels;
    const float* const x = p.x + p.in(image, top, left) + vector * kVector;
    Numbers<kVector> most = all_of<kVector>(-CUDART_INF_F);
    if constexpr (kKernel > 0) {
      Numbers<kVector> window[kKernel][kKernel];
#pragma unroll
      for (int ty = 0; ty < kKernel; ++ty) {
#pragma unroll
        for (int tx = 0; tx < kKernel; ++tx) {
          window[ty][tx] = p.has(top + ty, left + tx)
                               ? load_numbers<kVector>(x + ty * row + tx * p.channels)
                               : all_of<kVector>(-CUDART_INF_F);
        }
      }
#pragma unroll
      for (int ty = 0; ty < kKernel; ++ty) {
#pragma unroll
        for (int tx = 0; tx < kKernel; ++tx) grow(most, window[ty][tx]);
      }
    } else {
      for (int iy = max(0, top); iy < p.bottom(oy); ++iy) {
        for (int ix = max(0, left); ix < p.right(ox); ++ix) {
          grow(most, load_numbers<kVector>(x + int64_t{iy - top} * row + (ix - left) * p.channels));
        }
      }
    }
    const int64_t i = p.out(image, oy, ox) + vector * kVector;
    if (!operand.alone) store_numbers(y + i, most);
    if (operand.to != nullptr) write_operand(operand, i, most);
  });
}

template <int kVector>
void max_pool(const TrainingCall& call, const Pool& p) {
  const PoolWalk walk = plan_pool(call.images, p.out_h, p.out_w, p.channels / kVector);
  const int size = both(p.window.kernel_h, p.window.kernel_w);
  const auto kernel = size == 2   ? max_pool_kernel<2, kVector>
                      : size == 3 ? max_pool_kernel<3, kVector>
                                  : max_pool_kernel<0, kVector>;
  kernel<<<grid(walk.blocks()), kBlockThreads, 0, call.stream>>>(p, walk, call.y.data, call.operand);
}

}  // namespace

void run_max_pool(const TrainingCall& call) {
  const Pool p = make_pool(call);
  comes_in_fours(p.channels, {p.x, call.y.data}) ? max_pool<4>(call, p) : max_pool<1>(call, p);
  FACEGEN_CUDA_CHECK_LAUNCH("a max pool");
}

}  // namespace facegen::cuda
