// Numbers in another order: channels of groups shuffled, channels that become pixels of blocks and the
// reverse. A thread has numbers of y that are neighbours, and finds where they come from.
#include <algorithm>

#include "cuda/training/call.h"
#include "cuda/training/numbers.cuh"

namespace facegen::cuda {
namespace {

// Channel i * groups + g of y (+)= channel g * (channels / groups) + i of x.
__global__ void __launch_bounds__(kBlockThreads)
    shuffle_kernel(const float* x, float* y, int channels, int groups, bool accumulate, int64_t count) {
  const int members = channels / groups;
  for_each_number(count, [&](int64_t i) {
    const int c = channel_of(i, channels), from = c % groups * members + c / groups;
    put(y[i], x[i - c + from], accumulate);
  });
}

struct Blocks {
  const float* x;
  float* y;
  int32_t in_w, in_c, out_h, out_w, out_c, block;
  bool grows;  // y has more pixels
  bool depth_first, accumulate;

  // Where, in an image of x, channel c of y's pixel (oy, ox) lies: place (i, j) of a block is number
  // i * block + j.
  __device__ int64_t source(int oy, int ox, int c) const {
    int iy, ix, from;
    if (grows) {
      const int place = oy % block * block + ox % block;
      iy = oy / block;
      ix = ox / block;
      from = depth_first ? place * out_c + c : c * block * block + place;
    } else {
      const int place = depth_first ? c / in_c : c % (block * block);
      iy = oy * block + place / block;
      ix = ox * block + place % block;
      from = depth_first ? c % in_c : c / (block * block);
    }
    return (int64_t{iy} * in_w + ix) * in_c + from;
  }
};

template <int kCount>
__global__ void __launch_bounds__(kBlockThreads)
    rearrange_kernel(const __grid_constant__ Blocks a, int64_t count) {
  const int64_t image_floats = int64_t{a.out_h} * a.out_w * a.out_c;
  for_each_number(count / kCount, [&](int64_t run) {
    const int64_t i = run * kCount, pixel = quotient(i, a.out_c), row = quotient(pixel, a.out_w);
    const int64_t image = quotient(row, a.out_h);
    const int oy = static_cast<int>(row - image * a.out_h), ox = static_cast<int>(pixel - row * a.out_w);
    const int64_t from = image * image_floats + a.source(oy, ox, static_cast<int>(i - pixel * a.out_c));
    put_numbers(a.y + i, load_numbers<kCount>(a.x + from), a.accumulate);
  });
}

}  // namespace

void run_shuffle(const TrainingCall& call) {
  const int64_t count = call.images * call.x.value->floats();
  shuffle_kernel<<<grid_of(count), kBlockThreads, 0, call.stream>>>(call.x.data, call.y.data, call.x.value->c,
                                                             call.step.groups, call.step.accumulate, count);
  FACEGEN_CUDA_CHECK_LAUNCH("a shuffle of channels");
}

void run_rearrange(const TrainingCall& call) {
  const TrainingValue &x = *call.x.value, &y = *call.y.value;
  const TrainingStep& s = call.step;
  const Blocks a = {call.x.data, call.y.data, x.w,          x.c,          y.h, y.w, y.c, s.block,
                    y.pixels() > x.pixels(),  s.depth_first, s.accumulate};
  const int64_t count = call.images * y.floats();
  // A pixel of a block is a run of channels where the depth is first.
  const bool fours = s.depth_first && comes_in_fours(std::min(x.c, y.c), {a.x, a.y});
  const auto kernel = fours ? rearrange_kernel<4> : rearrange_kernel<1>;
  kernel<<<grid_of(fours ? count / 4 : count), kBlockThreads, 0, call.stream>>>(a, count);
  FACEGEN_CUDA_CHECK_LAUNCH("channels that become pixels");
}

}  // namespace facegen::cuda
