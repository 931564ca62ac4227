// Gradients of max pools whose windows are 3x3 in steps of 2. A cell is the first 2x2 of a window's pixels; the
// others are in the cells behind. Threads have a column of cells each, of some channels, and go down a strip of
// rows:
//
//            cell   cell
//            a a    b b     .      a window's last row is the first of the cell below, which its thread has next,
//            a a    b b     .      and its last column the first of the cell to the right: the thread there is
//            . .    . .     .      told in shared memory where window a is largest
//
// So each number is read once, but for those at the edges of blocks: a block begins with a column and a row of
// windows whose cells another has.
#include "cuda/runtime/error.h"
#include "cuda/training/pool_gradient.cuh"

namespace facegen::cuda {
namespace {

constexpr int kStripBlocks = 3;  // of a multiprocessor

// Bits 0 to 8: which of a window's pixels is the first largest, of those that are `valid`.
template <int kVector>
__device__ inline void find_first(const Numbers<kVector> (&x)[3][3], const Numbers<kVector>& largest, uint32_t valid,
                                  uint32_t (&first)[kVector]) {
  bool is_nan = false;
#pragma unroll
  for (int e = 0; e < kVector; ++e) {
    uint32_t found = 0;
    // None is above the largest. Where that is NaN, all that are NaN are as large.
#pragma unroll
    for (int t = 0; t < 9; ++t) found |= x[t / 3][t % 3].v[e] < largest.v[e] ? 0 : 1u << t;
    first[e] = found & valid;
    is_nan = is_nan || largest.v[e] != largest.v[e];
  }
  if (is_nan) {
#pragma unroll
    for (int e = 0; e < kVector; ++e) {
      if (largest.v[e] == largest.v[e]) continue;
      first[e] = 0;
#pragma unroll
      for (int t = 0; t < 9; ++t) first[e] |= x[t / 3][t % 3].v[e] != x[t / 3][t % 3].v[e] ? 1u << t & valid : 0;
    }
  }
#pragma unroll
  for (int e = 0; e < kVector; ++e) first[e] &= 0 - first[e];
}

// What a window's right neighbour has to know: bits 2, 5 and 8 of four channels in a word.
constexpr uint32_t kRightBits = 1u << 2 | 1u << 5 | 1u << 8;
__device__ constexpr int shift_of(int e) { return e % 2 + 9 * (e / 2); }

// kSums: of four channels.
template <int kVector, bool kSums>
__global__ void __launch_bounds__(kBlockThreads, kStripBlocks)
    overlapping_gradient_kernel(const __grid_constant__ Pool p, const __grid_constant__ StripWalk walk,
                                const __grid_constant__ PoolGradient g) {
  using Vector = Numbers<kVector>;
  __shared__ Vector told_dy[2][kBlockThreads];
  __shared__ uint32_t told_first[2][kBlockThreads];
  uint32_t block = gridDim.x - 1 - blockIdx.x;
  const auto take = [&](int32_t count) {
    const uint32_t rest = block / static_cast<uint32_t>(count), own = block - rest * static_cast<uint32_t>(count);
    block = rest;
    return static_cast<int>(own);
  };
  const int group = take(walk.groups), tile = take(walk.tiles), strip = take(walk.strips);
  const int64_t image = block;
  [[maybe_unused]] double own[4] = {};
  const int thread = static_cast<int>(threadIdx.x), column = thread / walk.lanes;
  const int channel = (group * walk.lanes + thread - column * walk.lanes) * kVector;
  const int cell_x = tile * (walk.columns - 1) + column - 1, left = p.left(cell_x);
  const int begin = strip * walk.rows, end = min(begin + walk.rows, walk.height);
  const bool is_there = channel < p.channels && column < walk.columns;
  const bool writes = column > 0 && column < walk.columns &&
                      channel < (g.operand.to == nullptr ? p.channels : g.operand.pitch);
  bool in_row[3];
#pragma unroll
  for (int c = 0; c < 3; ++c) in_row[c] = static_cast<unsigned>(left + c) < static_cast<unsigned>(p.in_w);
  const uint32_t of_row = (in_row[0] ? 1u : 0) | (in_row[1] ? 2u : 0) | (in_row[2] ? 4u : 0);
  const auto in_map = [&](int y) { return static_cast<unsigned>(y) < static_cast<unsigned>(p.in_h); };
  const bool has_windows = is_there && static_cast<unsigned>(cell_x) < static_cast<unsigned>(p.out_w);
  const int row_floats = p.in_w * p.channels, row_columns = p.in_w * g.operand.pitch;
  // Of a cell's first number: in the map, its operand and the pool's output.
  int64_t at = p.in(image, p.top(begin - 1), left) + channel;
  int64_t to = p.pixel(image, p.top(begin - 1), left) * g.operand.pitch + channel;
  int64_t out = p.out(image, begin - 1, cell_x) + channel;
  const auto read_row = [&](const float* from, int y, auto& row) {
#pragma unroll
    for (int c = 0; c < static_cast<int>(sizeof row / sizeof row[0]); ++c) {
      row[c] = {};
      if (is_there && in_row[c] && in_map(y)) row[c] = load_numbers<kVector>(from + c * p.channels);
    }
  };

  Vector x[3][3], carried[2] = {};  // what a cell's first row has of the windows above
  read_row(p.x + at, p.top(begin - 1), x[0]);
  for (int cell_y = begin - 1; cell_y < end; ++cell_y) {
    const int top = p.top(cell_y), buffer = cell_y & 1;
    read_row(p.x + at + row_floats, top + 1, x[1]);
    read_row(p.x + at + 2 * row_floats, top + 2, x[2]);
    Vector largest = {}, dy = {};
    uint32_t valid = 0;
    if (has_windows && static_cast<unsigned>(cell_y) < static_cast<unsigned>(p.out_h)) {
      largest = load_numbers<kVector>(g.y + out);
      dy = load_numbers<kVector>(g.dy + out);
      valid = (in_map(top) ? of_row : 0) | (in_map(top + 1) ? of_row << 3 : 0) | (in_map(top + 2) ? of_row << 6 : 0);
    }
    uint32_t first[kVector], to_right = 0;
    find_first(x, largest, valid, first);
#pragma unroll
    for (int e = 0; e < kVector; ++e) to_right |= (first[e] & kRightBits) << shift_of(e);
    told_dy[buffer][thread] = dy;
    told_first[buffer][thread] = to_right;
    // The buffer that is written next was read before the last of these.
    __syncthreads();
    if (writes) {
      const Vector left_dy = told_dy[buffer][thread - walk.lanes];
      const uint32_t left_first = told_first[buffer][thread - walk.lanes];
#pragma unroll
      for (int r = 0; r < 3; ++r) {
        Vector sum[2] = {};
        if (r == 0) {
          sum[0] = carried[0], sum[1] = carried[1];
        } else if (g.accumulate) {
          read_row(g.dx + at + r * row_floats, top + r, sum);
        }
#pragma unroll
        for (int e = 0; e < kVector; ++e) {
          if ((left_first & 1u << (3 * r + 2 + shift_of(e))) != 0) sum[0].v[e] += left_dy.v[e];
          if ((first[e] & 1u << (3 * r)) != 0) sum[0].v[e] += dy.v[e];
          if ((first[e] & 1u << (3 * r + 1)) != 0) sum[1].v[e] += dy.v[e];
        }
#pragma unroll
        for (int c = 0; c < 2; ++c) {
          if (r == 2) {
            carried[c] = sum[c];
          } else if (cell_y >= begin && in_map(top + r) && in_row[c]) {
            const Vector made =
                put_gradient(g, at + r * row_floats + c * p.channels, to + r * row_columns + c * g.operand.pitch,
                             is_there, x[r][c], sum[c]);
            if constexpr (kSums) {
#pragma unroll
              for (int e = 0; e < kVector; ++e) own[e] += static_cast<double>(made.v[e]);
            }
          }
        }
      }
    }
#pragma unroll
    for (int c = 0; c < 3; ++c) x[0][c] = x[2][c];
    at += 2 * row_floats;
    to += 2 * row_columns;
    out += p.out_w * p.channels;
  }
  if constexpr (kSums) {
    const int split = (static_cast<int>(image) * walk.strips + strip) * walk.tiles + tile;
    const int splits = static_cast<int>(gridDim.x) / walk.groups;
    finish_bias(g, own, walk.lanes * walk.columns, walk.lanes, 4 * group * walk.lanes, p.channels, split, splits,
                group);
  }
}

template <int kVector>
void launch(const TrainingCall& call, const Pool& p, const PoolGradient& g) {
  const int32_t height = cells_of(p.in_h, p.window.pad_top), width = cells_of(p.in_w, p.window.pad_left);
  const StripWalk walk =
      plan_strips(call.images, height, width, columns_of(p, g) / kVector, kVector == 4 ? kStripLanes : 16);
  const auto threads = static_cast<unsigned>(divide_up(walk.lanes * walk.columns, 32) * 32);
  overlapping_gradient_kernel<kVector, false>
      <<<grid(walk.blocks(call.images)), threads, 0, call.stream>>>(p, walk, g);
}

}  // namespace

void run_overlapping_pool_gradient(const TrainingCall& call, const Pool& p, const PoolGradient& g, int vector) {
  if (g.bias != nullptr) {
    const StripWalk walk = plan_summed_strips(p.window, *call.x.value, call.images);
    overlapping_gradient_kernel<4, true>
        <<<grid(walk.blocks(call.images)), kBlockThreads, 0, call.stream>>>(p, walk, g);
    return;
  }
  vector == 4 ? launch<4>(call, p, g) : launch<1>(call, p, g);
}

}  // namespace facegen::cuda
