#include "cpu/pooled_gemm.h"

#include <algorithm>

#include "cpu/fft.h"
#include "cpu/memory.h"
#include "cpu/thin_gemm.h"
#include "cpu/winograd.h"
#include "divide_up.h"
#include "threads.h"

namespace facegen::cpu {
namespace {

Step without_finish(Step step) {
  step.out = map_of(step);
  step.finish = nullptr;
  return step;
}

}  // namespace

bool PooledGemm::suits(const Step& step, const Kernels& kernels) {
  if (step.finish == nullptr || step.finish->op != Op::kMaxPool ||
      !is_identity(step.finish->epilogue)) {
    return false;
  }
  const Step gemm = without_finish(step);
  return !ThinGemm::suits(gemm, kernels) && !Winograd::suits(gemm, kernels) &&
         !Fft::suits(gemm, kernels) && DirectGemm::suits(gemm, kernels) && DirectGemm::has_lines(gemm);
}

PooledGemm::PooledGemm(const Step& step, const Kernels& kernels)
    : kernels_(kernels),
      gemm_(without_finish(step), kernels),
      map_(map_of(step)),
      out_(step.out),
      pool_(step.finish->window) {}

void PooledGemm::run(int64_t images, Images in, Images out, Images, int threads) const {
  in = gemm_.pad(images, in, threads);
  // Parts repeat the lines that their windows share: few of them.
  const int64_t parts =
      threads == 1 ? 1 : std::min<int64_t>(divide_up(2 * int64_t{threads}, images), out_.h);
  parallel_for(images * parts, threads, [&](int64_t task, int) {
    const int64_t image = task / parts, part = task % parts;
    run_part(in.data + image * in.image_stride, out.data + image * out.image_stride,
             static_cast<int>(out_.h * part / parts), static_cast<int>(out_.h * (part + 1) / parts));
  });
}

// Rows first .. last - 1 of one image's windows. Line y of the map waits in place y % places.
void PooledGemm::run_part(const float* in, float* out, int first, int last) const {
  static thread_local Scratch line_scratch, row_scratch;
  const int64_t line_floats = map_.w * map_.pixel_stride;
  const int places = std::min(pool_.kernel_h, map_.h);
  float* lines = line_scratch.get<float>(places * line_floats);
  auto* rows = row_scratch.get<const float*>(places);
  int done = 0;  // lines before this one were computed, or no window of this part holds them
  for (int oy = first; oy < last; ++oy) {
    const int y = oy * pool_.stride_h - pool_.pad_top;
    const int begin = std::max(y, 0), end = std::min(y + pool_.kernel_h, map_.h);
    for (done = std::max(done, begin); done < end; ++done) {
      gemm_.run_line(done, in, lines + done % places * line_floats);
    }
    for (int i = begin; i < end; ++i) rows[i - begin] = lines + i % places * line_floats;
    kernels_.max_pool({rows, end - begin, map_.pixel_stride, map_.w, pool_.kernel_w, pool_.stride_w,
                       pool_.pad_left, out + int64_t{oy} * out_.w * out_.pixel_stride,
                       out_.pixel_stride, out_.w, out_.c});
  }
}

Costs PooledGemm::costs() const {
  Costs costs = gemm_.costs();
  costs.scratch_bytes += 4 * std::min(pool_.kernel_h, map_.h) * map_.w * map_.pixel_stride;
  return costs;
}

}  // namespace facegen::cpu
