#include "cuda/fit/igemm_plan.h"

#include "cuda/fit/positions.h"
#include "divide_up.h"

namespace facegen::cuda {

IgemmPlan plan_igemm(const Step& step, const Layout& layout, int chunk_k, int tile_columns) {
  const View& in = step.in;
  IgemmPlan plan;
  plan.chunk_k = chunk_k;
  plan.columns_padded = divide_up(step.out.c, tile_columns) * tile_columns;
  plan.run_chunks = divide_up(in.c, chunk_k);
  plan.aligned = in.c % 8 == 0 && in_vectors(in, layout, 8);
  // Padding may cost up to half again of the arithmetic before single loads are the better way.
  plan.by_runs = plan.aligned && 2 * plan.run_chunks * chunk_k <= 3 * in.c;
  for (int p = 0; p < step.phase_count; ++p) {
    const auto& [y, x] = step.phases[p];
    if (y.out <= 0 || x.out <= 0) continue;
    IgemmPhase phase = {y.out, x.out, y.step, x.step, y.out_origin, x.out_origin, y.out_step,
                       x.out_step, 0, static_cast<int32_t>(plan.taps.size()), 0,
                       plan.total_chunks};
    for (int ty = 0; ty < y.taps; ++ty) {
      const int dy = y.base + ty * y.dir;
      if (!ever_inside(y, dy, in.h)) continue;
      for (int tx = 0; tx < x.taps; ++tx) {
        const int dx = x.base + tx * x.dir;
        if (!ever_inside(x, dx, in.w)) continue;
        plan.taps.push_back({dy, dx});
        plan.weight_taps.push_back((y.first_tap + ty * y.tap_step) * step.kernel_w + x.first_tap +
                                   tx * x.tap_step);
        ++phase.taps;
      }
    }
    phase.chunks = plan.by_runs ? phase.taps * plan.run_chunks
                                : divide_up(phase.taps * in.c, chunk_k);
    plan.total_chunks += phase.chunks;
    plan.phases.push_back(phase);
  }
  return plan;
}

int64_t IgemmPlan::weight_index(const IgemmPhase& phase, int chunk, int k, int in_c) const {
  int tap, channel;
  if (by_runs) {
    tap = chunk / run_chunks;
    channel = chunk % run_chunks * chunk_k + k;
    if (channel >= in_c) return -1;
  } else {
    tap = (chunk * chunk_k + k) / in_c;
    channel = (chunk * chunk_k + k) % in_c;
    if (tap >= phase.taps) return -1;
  }
  return int64_t{weight_taps[static_cast<std::size_t>(phase.first_tap + tap)]} * in_c + channel;
}

int64_t count_row_tiles(const std::vector<IgemmPhase>& phases, int64_t images, int tile_rows) {
  int64_t tiles = 0;
  for (const IgemmPhase& phase : phases) {
    tiles += divide_up(images * phase.out_h * phase.out_w, tile_rows);
  }
  return tiles;
}

}  // namespace facegen::cuda
