// What the tiled indirect GEMMs share: how a kGemm step is cut into phases, taps and chunks.
//
//   C (rows: image, oy, ox of one phase; columns: output channel)
//     = A (row; k) * B (k; column)
//
// k runs over the taps of the phase that ever read inside the input, and the channels of each. It
// is cut into chunks of `chunk_k`, the depth of one tile in shared memory:
//
//   by channel runs (in.c % 8 == 0, everything aligned): | tap 0: c 0.. | pad | tap 1: c 0.. | pad |
//     each tap's channels are padded with zeros to whole chunks: a chunk has one tap and is read
//     in vectors of 8;
//   flat (few or odd channels):                          | tap 0 | tap 1 | tap 2 | ... | pad |
//     element k is channel k % in.c of tap k / in.c, read one by one.
//
// The order of summation is the order of k: it depends on the layer alone.
#pragma once

#include <cstdint>
#include <vector>

#include "cuda/fit/step_fit.h"

namespace facegen::cuda {

// Input position of a tap relative to output * step.
struct TapOffset {
  int32_t dy, dx;
};

// One phase, as the kernels read it.
struct IgemmPhase {
  int32_t out_h, out_w, step_y, step_x;
  int32_t origin_y, origin_x, out_step_y, out_step_x;
  int32_t taps, first_tap;      // in IgemmPlan::taps
  int32_t chunks, first_chunk;  // of B, over all phases
};

struct IgemmPlan {
  bool aligned = false;  // channels can be read in vectors of 8
  bool by_runs = false;
  int chunk_k = 0;
  int columns_padded = 0;
  int run_chunks = 0;  // by runs: chunks of one tap
  std::vector<IgemmPhase> phases;
  std::vector<TapOffset> taps;
  std::vector<int32_t> weight_taps;  // as taps: ty * kernel_w + tx of the weight
  int total_chunks = 0;

  // Weight index (within one output channel: tap * in.c + channel) of element k of a chunk of a
  // phase, or -1 where it is padding.
  int64_t weight_index(const IgemmPhase& phase, int chunk, int k, int in_c) const;
};

// `layout`: of the input.
IgemmPlan plan_igemm(const Step& step, const Layout& layout, int chunk_k, int tile_columns);

// Row tiles of `tile_rows` over all phases.
int64_t count_row_tiles(const std::vector<IgemmPhase>& phases, int64_t images, int tile_rows);

}  // namespace facegen::cuda
