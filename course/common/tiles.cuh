// Tiles of the rungs of Hopper: rows that are a box of pixels, which the copy engine brings at once.
#pragma once

#include "gpu_plan.cuh"

namespace course {

struct Box {
  int w, h, n;  // pixels across, down, and images: powers of two
};

// A tile: rows that start at pixel (n, y, x) of a phase, and columns.
struct Tile {
  int phase, column, x, y, n;
};

// All tiles of a plan, in the order: phase (longest sums first), box, columns. Neighbours share their
// pixels.
struct Tiles {
  Box box;
  int columns, count;

  COURSE_BOTH Tile tile(const Plan& p, int i) const {
    const int across = p.w / box.w, of_map = across * (p.h / box.h);
    const int boxes = of_map * (p.n / box.n), columns_of_all = p.k / columns;
    const int of_phase = boxes * columns_of_all, at = i % of_phase / columns_of_all;
    return {i / of_phase, i % columns_of_all * columns, at % across * box.w,
            at % of_map / across * box.h, at / of_map * box.n};
  }

  // Where the output of a tile's row starts: rows count pixels across, down, then images.
  COURSE_BOTH int output_of(const Plan& p, const Tile& tile, int row) const {
    const int x = tile.x + row % box.w, y = tile.y + row / box.w % box.h;
    return course::output_of(p, p.phase[tile.phase], tile.n + row / (box.w * box.h), y, x) +
           tile.column;
  }
};

inline Tiles make_tiles(const Plan& p, int rows, int columns) {
  const int w = p.w < 16 ? p.w : 16, h = p.h < rows / w ? p.h : rows / w;
  return {{w, h, rows / (w * h)}, columns, p.phases * (p.rows() / rows) * (p.k / columns)};
}

#if defined(__CUDACC__)
// Calls f with each tile of this block, of as many blocks as multiprocessors. Rounds go to and fro, so
// that who had a long sum in one gets a short one in the next.
template <class Function>
__device__ void for_each_tile(const Plan& p, const Tiles& tiles, const Function& f) {
  const int blocks = gridDim.x, block = blockIdx.x;
  for (int round = 0; round * blocks < tiles.count; ++round) {
    const int i = round * blocks + (round % 2 == 0 ? block : blocks - 1 - block);
    if (i < tiles.count) f(tiles.tile(p, i));
  }
}
#endif

}  // namespace course
