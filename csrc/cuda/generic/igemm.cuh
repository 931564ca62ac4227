// Device side of fit/igemm_plan.h: which rows a block has, and where each reads its input.
#pragma once

#include "cuda/fit/igemm_plan.h"
#include "cuda/generic/element.cuh"
#include "cuda/layer.h"
#include "cuda/runtime/error.h"

namespace facegen::cuda {

// The arguments that the tiled kernels share.
struct IgemmArguments {
  Operand in, out;
  DeviceEpilogue epilogue;
  const IgemmPhase* phases;
  const TapOffset* taps;
  int32_t phase_count, column_tiles, run_chunks;
  int64_t images;
};

// A block's tile: `rows` rows of a phase from `first_row`, and its column tile.
struct BlockTile {
  IgemmPhase phase;
  int64_t first_row, rows;
  int column_tile;
};

// Column tiles run fastest, so that blocks side by side read the same rows of A.
template <int kTileRows>
__device__ inline BlockTile find_tile(const IgemmArguments& args) {
  BlockTile tile;
  tile.column_tile = static_cast<int>(blockIdx.x % static_cast<unsigned>(args.column_tiles));
  int64_t row_tile = blockIdx.x / static_cast<unsigned>(args.column_tiles);
  for (int p = 0; p < args.phase_count; ++p) {
    tile.phase = args.phases[p];
    const int64_t rows = args.images * tile.phase.out_h * tile.phase.out_w;
    const int64_t tiles = (rows + kTileRows - 1) / kTileRows;
    if (row_tile < tiles) {
      tile.first_row = row_tile * kTileRows;
      tile.rows = min(rows - tile.first_row, static_cast<int64_t>(kTileRows));
      return tile;
    }
    row_tile -= tiles;
  }
  tile.rows = 0;  // not reached: the grid has exactly the tiles there are
  return tile;
}

// A row of C: its image and output position within the phase.
struct Row {
  int64_t image;
  int32_t oy, ox;
};

__device__ inline Row find_row(const IgemmPhase& phase, int64_t row) {
  // 32-bit divisions: the executable cuts batches so that rows fit.
  const auto r = static_cast<uint32_t>(row);
  const auto map = static_cast<uint32_t>(phase.out_h * phase.out_w);
  const uint32_t image = r / map, pixel = r % map;
  return {image, static_cast<int32_t>(pixel / static_cast<uint32_t>(phase.out_w)),
          static_cast<int32_t>(pixel % static_cast<uint32_t>(phase.out_w))};
}

__device__ inline int64_t output_pixel(const IgemmPhase& phase, const Row& row, int out_w) {
  return int64_t{phase.origin_y + row.oy * phase.out_step_y} * out_w + phase.origin_x +
         row.ox * phase.out_step_x;
}

// Where one row reads: input position of tap offset 0, and whether the row exists.
struct Source {
  int64_t image_start;  // element
  int32_t iy, ix;
  bool exists;
};

__device__ inline Source find_source(const IgemmArguments& args, const BlockTile& tile, int r) {
  if (r >= tile.rows) return {0, 0, 0, false};
  const Row row = find_row(tile.phase, tile.first_row + r);
  return {row.image * args.in.image_stride, row.oy * tile.phase.step_y,
          row.ox * tile.phase.step_x, true};
}

// The element at which a tap's channels start, or -1 where it reads padding.
__device__ inline int64_t tap_start(const Operand& in, const Source& source, TapOffset tap) {
  const int iy = source.iy + tap.dy, ix = source.ix + tap.dx;
  const bool inside = source.exists && iy >= 0 && iy < in.h && ix >= 0 && ix < in.w;
  return inside ? source.image_start + (int64_t{iy} * in.w + ix) * in.pixel_stride : -1;
}

// What the tiled kernels share on the host. The columns of all phases are padded to whole tiles.
template <int kTileRows, int kTileColumns>
class IgemmLayer : public Layer {
 protected:
  IgemmLayer(const GemmSpec& spec, int chunk_k)
      : Layer(spec), plan_(plan_igemm(spec.step, spec.in, chunk_k, kTileColumns)) {
    phases_ = keep(plan_.phases);
    taps_ = keep(plan_.taps);
  }

  int column_tiles() const { return plan_.columns_padded / kTileColumns; }

  // Calls put(tile of B, element of its chunk, column of the tile, weight) for all but the padding.
  template <class Put>
  void for_each_weight(const Step& step, const Put& put) const {
    const int64_t per_column = int64_t{step.kernel_h} * step.kernel_w * step.in.c;
    for (const IgemmPhase& phase : plan_.phases) {
      for (int chunk = 0; chunk < phase.chunks; ++chunk) {
        for (int k = 0; k < plan_.chunk_k; ++k) {
          const int64_t index = plan_.weight_index(phase, chunk, k, step.in.c);
          if (index < 0) continue;
          for (int c = 0; c < step.out.c; ++c) {
            const int64_t tile =
                int64_t{phase.first_chunk + chunk} * column_tiles() + c / kTileColumns;
            put(tile, k, c % kTileColumns, step.weight[c * per_column + index]);
          }
        }
      }
    }
  }

  // Calls launch(blocks, arguments), unless there is nothing to do.
  template <class Launch>
  void run_tiles(int64_t images, const Operands& operands, const Launch& launch) const {
    const auto blocks = static_cast<unsigned>(
        count_row_tiles(plan_.phases, images, kTileRows) * column_tiles());
    if (blocks == 0) return;
    launch(blocks, IgemmArguments{make_operand(step_.in, operands.in),
                                  make_operand(step_.out, operands.out),
                                  make_epilogue(step_, operands.add), phases_, taps_,
                                  static_cast<int32_t>(plan_.phases.size()), column_tiles(),
                                  plan_.run_chunks, images});
    FACEGEN_CUDA_CHECK_LAUNCH("an indirect GEMM");
  }

  IgemmPlan plan_;

 private:
  const IgemmPhase* phases_;
  const TapOffset* taps_;
};

}  // namespace facegen::cuda
