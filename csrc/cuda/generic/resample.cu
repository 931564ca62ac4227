// Weighted sums of rows and of columns. Bound by memory: neighbouring threads have neighbouring
// channels, eight each where they are aligned. What outputs side by side share is found in the caches.
#include "cuda/generic/resample.h"

#include "cuda/generic/elements.cuh"
#include "cuda/runtime/error.h"

namespace facegen::cuda {
namespace {

// Calls add(weight, element) for every term of a column of the output's sum, then end(weight) of the
// column: sums of rows first.
template <class Add, class End>
__device__ inline void for_each_term(const Arguments& args, const Element& e, const AxisTaps& rows,
                                     const AxisTaps& columns, const Add& add, const End& end) {
  for (int tx = 0; tx < columns.taps; ++tx) {
    const int x = __ldg(columns.positions + int64_t{e.x} * columns.taps + tx);
    if (x < 0) continue;
    for (int ty = 0; ty < rows.taps; ++ty) {
      const int64_t row = int64_t{e.y} * rows.taps + ty;
      const int y = __ldg(rows.positions + row);
      if (y < 0) continue;
      add(__ldg(rows.weights + row), e.image * args.in.image_stride +
                                         (int64_t{y} * args.in.w + x) * args.in.pixel_stride + e.c);
    }
    end(__ldg(columns.weights + int64_t{e.x} * columns.taps + tx));
  }
}

__global__ void __launch_bounds__(kThreads)
    resample_kernel(const __grid_constant__ Arguments args, AxisTaps rows, AxisTaps columns) {
  const Element e = find_element(args.out, args.images);
  if (e.image < 0) return;
  float sum = 0.0f, column = 0.0f;
  for_each_term(
      args, e, rows, columns,
      [&](float weight, int64_t element) { column = fmaf(weight, load(args.in, element), column); },
      [&](float weight) {
        sum = fmaf(weight, column, sum);
        column = 0.0f;
      });
  finish(args.epilogue, args.out, e.image, e.pixel, e.c, sum);
}

__global__ void __launch_bounds__(kThreads)
    resample_run_kernel(const __grid_constant__ Arguments args, AxisTaps rows, AxisTaps columns) {
  const Element e = find_element(args.out, args.images, 8);
  if (e.image < 0) return;
  float sum[8] = {}, column[8] = {};
  for_each_term(
      args, e, rows, columns,
      [&](float weight, int64_t element) {
        float value[8];
        load_run(args.in, element, value);
#pragma unroll
        for (int i = 0; i < 8; ++i) column[i] = fmaf(weight, value[i], column[i]);
      },
      [&](float weight) {
#pragma unroll
        for (int i = 0; i < 8; ++i) {
          sum[i] = fmaf(weight, column[i], sum[i]);
          column[i] = 0.0f;
        }
      });
  finish_eight(args.epilogue, args.out, e.image, e.pixel, e.c, sum);
}

}  // namespace

void resample(const StepCall& call) {
  const Step& step = call.step;
  if (takes_runs(call)) {
    const unsigned blocks = count_blocks(output_elements(call) / 8, kThreads);
    resample_run_kernel<<<blocks, kThreads, 0, call.stream>>>(make_arguments(call), step.rows,
                                                              step.columns);
    FACEGEN_CUDA_CHECK_LAUNCH("resample_run_kernel");
    return;
  }
  const unsigned blocks = count_blocks(output_elements(call), kThreads);
  resample_kernel<<<blocks, kThreads, 0, call.stream>>>(make_arguments(call), step.rows,
                                                        step.columns);
  FACEGEN_CUDA_CHECK_LAUNCH("resample_kernel");
}

}  // namespace facegen::cuda
