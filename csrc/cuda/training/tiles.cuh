// The tiles of a product (mma_tile.cuh), a block each.
#pragma once

#include <cstdint>

#include "cuda/fit/divide.h"
#include "cuda/runtime/error.h"
#include "cuda/training/launch.cuh"
#include "cuda/training/mma_tile.cuh"
#include "divide_up.h"

namespace facegen::cuda::mma_tile {

// Blocks have columns side by side, then rows, groups, parts of the depth.
struct Tiles {
  Divider columns, rows, groups;
  int32_t column_tiles, row_tiles, group_count;
  int32_t part_chunks, chunks;  // of a part, of all

  struct Place {
    int32_t row, column;  // the first
    int32_t group, part;
    int32_t first, last;  // chunks
  };
  __device__ Place place(int block) const {
    int next = columns.divide(block);
    const int column = block - next * column_tiles;
    block = next, next = rows.divide(block);
    const int row = block - next * row_tiles;
    block = next, next = groups.divide(block);
    const int first = next * part_chunks;
    return {row * kTile, column * kTile, block - next * group_count, next, first,
            min(chunks, first + part_chunks)};
  }
  int64_t blocks(const DepthSplit& split) const {
    return int64_t{split.splits} * group_count * row_tiles * column_tiles;
  }
};
inline Tiles make_tiles(int64_t rows, int64_t columns, int64_t depth, int32_t groups, const DepthSplit& split) {
  const auto row_tiles = static_cast<int32_t>(divide_up(rows, int64_t{kTile}));
  const auto column_tiles = static_cast<int32_t>(divide_up(columns, int64_t{kTile}));
  return {make_divider(column_tiles), make_divider(row_tiles), make_divider(groups), column_tiles, row_tiles,
          groups, static_cast<int32_t>(split.part / kChunk),
          static_cast<int32_t>(divide_up(depth, int64_t{kChunk}))};
}

// More shared memory than 48 KiB must be asked for, on every device anew.
template <class Arguments>
void launch_tiles(void (*kernel)(Arguments), const Arguments& args, cudaStream_t stream) {
  FACEGEN_CUDA_CHECK(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kSharedBytes));
  kernel<<<grid(args.tiles.blocks(args.split)), kThreads, kSharedBytes, stream>>>(args);
}

}  // namespace facegen::cuda::mma_tile
